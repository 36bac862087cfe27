"""`hilum bundle`, as functions: roles change as they are given, and what cannot be is refused."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from commands import bundle, bundle_choice, compare
from commands.problem import ProblemError
from db import bundles
from db.models import StoredReading
from db.session import Database
from db.states import BundleRole, TaskKind
from inference.bundle import DEFAULT_BUNDLE, BundleError, load_bundle
from settings import Settings
from tests.db.makers import claim, film, read_all, read_in_shadow, receive, rows
from tests.inference.bundles import packaged_as, small_bundle

PACKAGED = load_bundle().label.replace(" ", "/")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An installation that does not run, with a second bundle."""
    settings = Settings(data_dir=tmp_path / "data")
    made = packaged_as(tmp_path / "second", "second", "2", temperature=3.0)
    assert bundle.register(settings, made.path) == "second/2 is registered."
    return settings


def roles(settings: Settings) -> dict[str, str]:
    return {each.name: each.role for each in bundle.rows(settings)}


def chosen(settings: Settings) -> list[tuple[str, str, str | None]]:
    found = bundle_choice.history(settings, 10)
    return [(each["role"], each["bundle"], each["reason"]) for each in found]


def printed(console_width: int = 120) -> tuple[Console, StringIO]:
    text = StringIO()
    return Console(file=text, width=console_width), text


def test_what_is_configured_reads_until_another_is_activated(
    settings: Settings, tmp_path: Path
) -> None:
    assert roles(settings) == {PACKAGED: "active", "second/2": ""}
    mine = packaged_as(tmp_path / "mine", "mine", "7")
    configured = settings.model_copy(
        update={"worker": settings.worker.model_copy(update={"bundle": mine.path})}
    )
    assert roles(configured) == {PACKAGED: "", "second/2": "", "mine/7": "active"}
    bundle_choice.activate(configured, "second", None)
    assert roles(configured) == {PACKAGED: "", "second/2": "active", "mine/7": ""}
    bundle_choice.activate(configured, bundle_choice.CONFIGURED, None)
    assert roles(configured) == {PACKAGED: "", "second/2": "", "mine/7": "active"}


def test_a_configured_bundle_that_is_broken_is_listed_with_the_reason(
    settings: Settings, tmp_path: Path
) -> None:
    broken = settings.model_copy(
        update={"worker": settings.worker.model_copy(update={"bundle": tmp_path / "nowhere"})}
    )
    last = bundle.rows(broken)[-1]
    assert (last.name, last.role) == ("nowhere", "")
    assert "no readable bundle.json" in str(last.problem)


def test_activated_rolled_back_and_in_the_history(settings: Settings) -> None:
    assert bundle_choice.activate(settings, "second", "validated").startswith("second/2 is active.")
    assert bundle_choice.activate(settings, "second/2", None) == "second/2 is active already."
    assert roles(settings) == {PACKAGED: "", "second/2": "active"}
    text = bundle_choice.roll_back(settings, "too many findings")
    assert text.startswith("The configured bundle is active again.")
    with pytest.raises(ProblemError, match="nothing to return to"):
        bundle_choice.roll_back(settings, None)
    assert chosen(settings) == [
        ("active", "configured", "too many findings"),
        ("active", "second/2", "validated"),
    ]
    assert all("@" in each["by"] for each in bundle_choice.history(settings, 10))
    (day,) = (settings.data_path / "audit").glob("*.audit")
    assert day.read_text().count('csd-code="110131"') == 2  # Software Configuration
    console, output = printed()
    bundle_choice.print_history(bundle_choice.history(settings, 10), console)
    assert "too many findings" in output.getvalue()


def test_the_way_back_to_a_bundle_that_is_gone_is_refused_and_nothing_changes(
    settings: Settings,
) -> None:
    bundle_choice.activate(settings, "second", None)
    bundle_choice.activate(settings, PACKAGED, None)
    bundle.remove(settings, "second")
    before = chosen(settings)
    with pytest.raises(BundleError, match="no bundle 'second/2' is registered"):
        bundle_choice.roll_back(settings, None)
    assert chosen(settings) == before


def test_a_chosen_bundle_that_is_gone_is_listed_as_such(settings: Settings, tmp_path: Path) -> None:
    bundle_choice.activate(settings, "second", None)
    (tmp_path / "data/bundles/second/2").rename(tmp_path / "away")
    gone = bundle.rows(settings)[-1]
    assert (gone.name, gone.role) == ("second/2", "active")
    assert "not registered any more" in str(gone.problem)


def test_what_cannot_run_is_neither_activated_nor_put_in_shadow(
    settings: Settings, tmp_path: Path
) -> None:
    bundle.register(settings, small_bundle(tmp_path / "broken", id="broken").path)
    for command in (
        lambda: bundle_choice.activate(settings, "broken", None),
        lambda: bundle_choice.shadow(settings, "broken", None),
        lambda: bundle.verify(settings, "broken"),
    ):
        with pytest.raises(BundleError, match="cannot load this network"):
            command()
    assert chosen(settings) == []


def test_what_cannot_be_set_to_the_sites_prevalence_is_not_activated(
    settings: Settings, tmp_path: Path
) -> None:
    silent = packaged_as(tmp_path / "silent", "silent", prevalence=None)
    bundle.register(settings, silent.path)
    worker = settings.worker.model_copy(update={"prevalence": 0.02})
    with pytest.raises(BundleError, match="does not say at which prevalence"):
        bundle_choice.activate(settings.model_copy(update={"worker": worker}), "silent", None)
    assert chosen(settings) == []


def test_the_active_bundle_is_no_shadow_of_itself(settings: Settings) -> None:
    for name in (PACKAGED, "second"):
        bundle_choice.activate(settings, name, None)
        with pytest.raises(ProblemError, match="is the active bundle"):
            bundle_choice.shadow(settings, name, None)
    bundle_choice.shadow(settings, PACKAGED, None)
    assert roles(settings) == {PACKAGED: "shadow", "second/2": "active"}
    bundle_choice.activate(settings, bundle_choice.CONFIGURED, None)
    assert roles(settings) == {PACKAGED: "active", "second/2": ""}
    assert chosen(settings)[0] == ("shadow", "off", "it is the active bundle now")


def test_a_shadow_is_switched_on_once_and_off(settings: Settings) -> None:
    assert bundle_choice.shadow(settings, "off", None) == "Nothing reads in shadow."
    assert "reads in shadow" in bundle_choice.shadow(settings, "second", "trial")
    assert bundle_choice.shadow(settings, "second", None) == "second/2 does already."
    assert "any more" in bundle_choice.shadow(settings, "off", None)
    assert chosen(settings) == [("shadow", "off", None), ("shadow", "second/2", "trial")]


def test_what_is_in_use_is_not_removed(settings: Settings) -> None:
    bundle_choice.shadow(settings, "second", None)
    with pytest.raises(ProblemError, match="is shadow and cannot be removed"):
        bundle.remove(settings, "second")
    bundle_choice.activate(settings, "second", None)
    with pytest.raises(ProblemError, match="is active and cannot be removed"):
        bundle.remove(settings, "second")
    with pytest.raises(BundleError, match="always stays"):
        bundle.remove(settings, PACKAGED)
    bundle_choice.roll_back(settings, None)
    assert bundle.remove(settings, "second") == "second/2 is removed."
    assert roles(settings) == {PACKAGED: "active"}


def test_a_workers_problem_is_listed_beside_its_bundle(settings: Settings) -> None:
    bundle_choice.activate(settings, "second", None)
    with closing(Database(settings.database)) as database, database.write() as session:
        choice = bundles.current(session, BundleRole.ACTIVE)
        assert choice is not None
        now = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
        bundles.record_problem(session, choice.id, worker="gpu1", sentence="no room", now=now)
    problems = {each.name: each.problem for each in bundle.rows(settings)}
    assert problems == {PACKAGED: None, "second/2": "gpu1, 2026-01-02 03:04: no room"}
    console, output = printed()
    bundle.print_rows(bundle.rows(settings), console)
    assert "no room" in output.getvalue()


def test_a_bundle_is_shown_by_its_name_or_folder(settings: Settings) -> None:
    packaged = load_bundle()
    assert bundle.find(settings, PACKAGED) == bundle.find(settings, str(DEFAULT_BUNDLE)) == packaged
    console, output = printed()
    bundle.print_bundle(packaged, console)
    for text in (PACKAGED, packaged.operating_point, *packaged.operating_points):
        assert text in output.getvalue()
    assert bundle.manifest(packaged)["files"] == dict(packaged.files)
    assert bundle.model_card(packaged) == (DEFAULT_BUNDLE / "model_card.md").read_text()


def test_a_comparison_is_printed_for_people(settings: Settings) -> None:
    bundle_choice.shadow(settings, "second", None)
    console, output = printed()
    compare.print_comparison(compare.compare(settings, None, None, 5), console)
    assert "Nothing was read in shadow" in output.getvalue()
    with closing(Database(settings.database)) as database:
        receive(database, film(), film())
        read_all(database)
        assert read_in_shadow(database, pneumonia=0.2, finding="normal") == 2
        assert claim(database, TaskKind.SHADOW) == []
        [first, _] = rows(database, StoredReading)
    console, output = printed()
    found = compare.compare(settings, None, None, 1)
    compare.print_comparison(found, console)
    text = output.getvalue()
    assert "second 2 in shadow of test 1" in text
    assert "2 films read by both" in text
    assert "The same finding in 0.0%" in text
    assert "mean -50.0 points, mean size 50.0, largest 50.0" in " ".join(text.split())
    [difference] = found["differences"]
    assert difference["instance_id"] == first.instance_id
    assert "70.0%" in text
