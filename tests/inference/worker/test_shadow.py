"""A second bundle reads in shadow: in a process of its own, last in line, and nothing is sent."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from db import bundles
from db.bundles import BundleKey
from db.files import FileStore
from db.models import (
    BundleProblem,
    Delivery,
    Instance,
    Report,
    Result,
    ShadowReading,
    StoredReading,
    Study,
    Task,
)
from db.session import Database
from inference.bundle import device, for_site, load_bundle
from inference.predict import Predictor
from inference.shadow import LOWEST_PRIORITY
from inference.worker import shadow
from inference.worker.registry import Registry, key_of
from inference.worker.shadow import reading_in_shadow
from tests.db.makers import rows
from tests.inference.bundles import packaged_as, small_bundle
from tests.inference.worker.work import receive, reported, worker_settings, working
from tests.peers import wait_until


@pytest.fixture
def registry(store: FileStore) -> Registry:
    return Registry(store.root)


@pytest.fixture
def second(registry: Registry, tmp_path: Path) -> BundleKey:
    """The packaged network by another name, calibrated otherwise: other probabilities."""
    made = packaged_as(tmp_path / "second", "second", "2", temperature=3.0)
    return key_of(registry.register(made.path)[0])


def choose(database: Database, key: BundleKey | None) -> None:
    with database.write() as session:
        bundles.shadow(session, key, by="test", reason=None, now=database.now(session))


@contextmanager
def shadowing(database: Database, store: FileStore) -> Iterator[None]:
    with reading_in_shadow(worker_settings(), database, store, "shadow", "machine"):
        yield


def read_by_the_active(
    database: Database, store: FileStore, predictor: Predictor, folder: Path, *kinds: str
) -> None:
    """Receive films and have them read and reported."""
    receive(database, store, folder, *kinds)  # type: ignore[arg-type]  # kinds of phantoms
    before = len(rows(database, Report))
    with working(database, store, predictor):
        wait_until(
            lambda: len(rows(database, Report)) == before + len(kinds), "reports", seconds=200
        )


def test_what_was_read_and_refused_is_read_in_shadow_and_changes_nothing(
    database: Database,
    store: FileStore,
    predictor: Predictor,
    second: BundleKey,
    tmp_path: Path,
) -> None:
    choose(database, second)
    read_by_the_active(database, store, predictor, tmp_path, "opacity", "normal", "lateral")
    said = [(each.state, each.sentence, each.bundle) for each in rows(database, Study)]
    results = [each.id for each in rows(database, Result)]
    with shadowing(database, store):
        wait_until(lambda: not rows(database, Task), "an empty queue", seconds=200)

    read = {each.instance_id: each for each in rows(database, ShadowReading)}
    assert len(read) == 3
    for reading in rows(database, StoredReading):
        beside = read.pop(reading.instance_id)
        assert beside.reading_id == reading.id
        assert (beside.bundle, reading.bundle) == ("second 2", load_bundle().label)
        assert 0 < beside.pneumonia < 1
        assert beside.pneumonia != reading.pneumonia
        total = beside.p_normal + beside.p_not_normal + beside.p_lung_opacity
        assert total == pytest.approx(1)
    [refused] = read.values()
    assert (refused.reading_id, refused.refusal_code, refused.pneumonia) == (None, "view", None)

    assert [(each.state, each.sentence, each.bundle) for each in rows(database, Study)] == said
    assert [each.id for each in rows(database, Result)] == results
    assert rows(database, Delivery) == []


def test_the_same_network_gives_the_same_probabilities_in_shadow(
    database: Database,
    store: FileStore,
    predictor: Predictor,
    registry: Registry,
    tmp_path: Path,
) -> None:
    twin = registry.register(packaged_as(tmp_path / "twin", "twin").path)[0]
    choose(database, key_of(twin))
    read_by_the_active(database, store, predictor, tmp_path, "opacity", "normal")
    with shadowing(database, store):
        wait_until(lambda: not rows(database, Task), "an empty queue", seconds=200)
    readings = {each.id: each for each in rows(database, StoredReading)}
    for beside in rows(database, ShadowReading):
        active = readings[beside.reading_id]
        assert beside.pneumonia == pytest.approx(active.pneumonia, abs=1e-4)
        assert beside.finding == active.finding
        assert len(beside.boxes) == len(active.boxes)


def test_what_is_read_in_shadow_names_the_algorithm_as_it_is_set_to_the_site(
    database: Database,
    store: FileStore,
    predictor: Predictor,
    registry: Registry,
    tmp_path: Path,
) -> None:
    """Another prevalence gives other probabilities, so it is another device."""
    made = packaged_as(tmp_path / "third", "third", prevalence=0.3)
    bundle, _ = registry.register(made.path)
    choose(database, key_of(bundle))
    read_by_the_active(database, store, predictor, tmp_path, "normal")
    settings = worker_settings(worker={"lease_seconds": 2, "prevalence": 0.02})
    with reading_in_shadow(settings, database, store, "shadow", "machine"):
        wait_until(lambda: not rows(database, Task), "an empty queue", seconds=200)
    [beside] = rows(database, ShadowReading)
    assert beside.device_uid == device(for_site(bundle, 0.02)).uid != device(bundle).uid


def test_the_shadow_reads_in_a_child_at_the_lowest_priority_until_it_is_switched_off(
    database: Database,
    store: FileStore,
    predictor: Predictor,
    second: BundleKey,
    tmp_path: Path,
) -> None:
    choose(database, second)
    read_by_the_active(database, store, predictor, tmp_path, "normal")
    ours = psutil.Process()
    before = {child.pid for child in ours.children()}

    def shadows() -> list[psutil.Process]:
        return [child for child in ours.children() if child.pid not in before]

    with shadowing(database, store):
        wait_until(lambda: rows(database, ShadowReading), "a reading in shadow", seconds=200)
        assert LOWEST_PRIORITY in {child.nice() for child in shadows()}
        assert ours.nice() < LOWEST_PRIORITY or os.getpriority(os.PRIO_PROCESS, 0) == 19
        choose(database, None)
        wait_until(lambda: not shadows(), "the end of the child", seconds=200)


def test_a_bundle_that_cannot_run_is_a_problem_and_the_active_one_reads_on(
    database: Database,
    store: FileStore,
    predictor: Predictor,
    registry: Registry,
    tmp_path: Path,
) -> None:
    broken, _ = registry.register(small_bundle(tmp_path / "broken", id="broken").path)
    choose(database, key_of(broken))
    with shadowing(database, store), working(database, store, predictor):
        receive(database, store, tmp_path, "normal")
        wait_until(lambda: rows(database, BundleProblem), "a problem", seconds=200)
        receive(database, store, tmp_path, "opacity")
        wait_until(lambda: len(rows(database, Report)) == 2, "two reports", seconds=200)
    [problem] = rows(database, BundleProblem)
    assert problem.worker == "machine"
    assert "cannot load this network" in problem.sentence
    assert rows(database, ShadowReading) == []
    waiting = rows(database, Task)
    assert {(each.kind, each.state, each.attempts) for each in waiting} == {("shadow", "ready", 0)}
    assert len(waiting) == 2


def test_a_bundle_that_is_gone_is_a_problem_until_it_is_back(
    database: Database,
    store: FileStore,
    predictor: Predictor,
    registry: Registry,
    second: BundleKey,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shadow, "RETRY_SECONDS", 0.0)
    choose(database, second)
    registry.remove(registry.look_up("second"))
    read_by_the_active(database, store, predictor, tmp_path, "normal")
    with shadowing(database, store):
        wait_until(lambda: rows(database, BundleProblem), "a problem", seconds=200)
        registry.register(tmp_path / "second")
        wait_until(lambda: rows(database, ShadowReading), "a reading in shadow", seconds=200)
    assert rows(database, BundleProblem) == []


def test_a_film_that_cannot_be_read_in_shadow_is_given_up_and_the_next_one_read(
    database: Database,
    store: FileStore,
    predictor: Predictor,
    second: BundleKey,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shadow, "_RETRY", shadow.queue.Backoff(first=0.01, longest=0.01))
    choose(database, second)
    read_by_the_active(database, store, predictor, tmp_path, "normal", "opacity")
    gone, kept = rows(database, Instance)
    store.remove(gone.path)
    with shadowing(database, store):
        wait_until(lambda: not rows(database, Task), "an empty queue", seconds=200)
    read = {each.instance_id: each for each in rows(database, ShadowReading)}
    assert (read[gone.id].refusal_code, read[gone.id].pneumonia) == ("failed", None)
    assert "could not be read" in read[gone.id].reason
    assert read[kept.id].pneumonia is not None


def test_a_shadow_that_is_stopped_gives_its_films_back(
    database: Database,
    store: FileStore,
    predictor: Predictor,
    second: BundleKey,
    tmp_path: Path,
) -> None:
    choose(database, second)
    read_by_the_active(database, store, predictor, tmp_path, *["normal"] * 3)
    with shadowing(database, store):
        wait_until(
            lambda: any(each.owner == "shadow" for each in rows(database, Task)),
            "a lease",
            seconds=200,
        )
    left = rows(database, Task)
    assert {(each.kind, each.state, each.attempts) for each in left} <= {("shadow", "ready", 0)}
    assert len(left) + len(rows(database, ShadowReading)) == 3


def test_both_bundles_read_side_by_side(
    database: Database,
    store: FileStore,
    predictor: Predictor,
    second: BundleKey,
    tmp_path: Path,
) -> None:
    choose(database, second)
    with shadowing(database, store), working(database, store, predictor):
        for _ in range(2):
            receive(database, store, tmp_path, "normal", "opacity")
        wait_until(lambda: reported(database, 4), "four reports and no task", seconds=200)
    assert len(rows(database, ShadowReading)) == 4
    assert {each.bundle for each in rows(database, Report)} == {predictor.bundle.label}
