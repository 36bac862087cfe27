"""A running service is watched over HTTP: its figures, whether it is ready, a role that dies."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import select

from commands.golden import next_film
from db.files import FileStore
from db.models import Alarm, Study
from inference.golden_film import GoldenFilm
from scp_service.schedule import Jobs
from settings import load
from tests.peers import ChildProcess, dcmsend, free_port, run_hilum, storescp, wait_until
from tests.system.whole import Whole, destination, make_films, whole

Figures = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Whole, ChildProcess]]:
    """A service with a configured sender, one destination that takes all and one that is gone."""
    folder = tmp_path_factory.mktemp("watched")
    env = {
        "HILUM_METRICS__ENABLED": "true",
        "HILUM_METRICS__PORT": str(free_port()),
        "HILUM_PEERS": json.dumps([{"ae_title": "XR1"}]),
    }
    with storescp(folder / "pacs", options=("+xa",)) as pacs:
        destinations = [
            destination(pacs.port, pacs.ae_title),
            destination(free_port(), "NOBODY", "gone"),
        ]
        with (
            whole(folder, destinations=destinations, env=env) as service,
            service.serving() as process,
        ):
            yield service, process


def test_one_scrape_of_the_service_tells_of_all_its_roles(
    watched: tuple[Whole, ChildProcess], tmp_path: Path
) -> None:
    service, _ = watched
    films = make_films(tmp_path, 2)
    assert dcmsend(films, service.port, calling="XR1").accepted == 2
    assert dcmsend(films[:1], service.port, calling="XR1").accepted == 1
    assert dcmsend(films, service.port, calling="XR1", called="ANOTHER").returncode != 0
    assert dcmsend(films, service.port, calling="STRANGER").returncode != 0
    wait_until(lambda: delivered(service) == 4, "four objects at the PACS", seconds=120)
    unreachable = ("destination", "gone"), ("outcome", "unreachable")
    wait_until(
        lambda: labelled(figures(service), "hilum_deliveries_total", *unreachable) >= 1,
        "a destination to be found unreachable",
    )

    found = figures(service)
    films_from = "hilum_films_total", ("source", "XR1")
    assert labelled(found, *films_from, ("outcome", "new")) == 2
    assert labelled(found, *films_from, ("outcome", "duplicate")) == 1
    refused = "hilum_associations_refused_total"
    assert labelled(found, refused, ("reason", "called_ae_not_recognised")) == 1
    assert labelled(found, refused, ("reason", "calling_ae_not_recognised")) == 1
    assert labelled(found, "hilum_films_settled_total", ("outcome", "read")) == 2
    for name in ("hilum_read_seconds", "hilum_decode_seconds"):
        assert labelled(found, f"{name}_count") == 2
        assert 0 < labelled(found, f"{name}_sum") < 120
    assert labelled(found, "hilum_batch_films_sum") == 2
    assert labelled(found, "hilum_model_seconds_sum") > 0
    reports = [value for (name, _), value in found.items() if name == "hilum_reports_total"]
    assert sum(reports) == 2
    pacs = ("destination", "pacs")
    assert labelled(found, "hilum_delivery_seconds_count", pacs) == 4
    assert labelled(found, "hilum_undelivered_objects", ("destination", "gone")) == 4
    assert sum(name == "hilum_bundle_loaded" for name, _ in found) == 1


def test_a_role_that_was_killed_counts_on_and_meanwhile_the_service_is_not_ready(
    watched: tuple[Whole, ChildProcess],
) -> None:
    service, process = watched
    assert run_hilum(["health"], service.env, folder=service.folder).stdout == "ready\n"
    before = labelled(figures(service), "hilum_films_settled_total", ("outcome", "read"))
    worker = next(each for each in process.children() if each.cmdline()[-1:] == ["work"])
    worker.send_signal(signal.SIGKILL)
    told = wait_until(lambda: unready(service), "an unready service")
    assert told["roles"] == "not running: work"
    wait_until(lambda: not unready(service), "the service to be ready again", seconds=60)
    after = labelled(figures(service), "hilum_films_settled_total", ("outcome", "read"))
    assert after == before


def test_a_self_test_goes_the_whole_way_and_leaves_no_trace(
    watched: tuple[Whole, ChildProcess],
) -> None:
    service, _ = watched
    studies, files = service.count(Study), service.files()
    known = labelled(figures(service), "hilum_undelivered_objects", ("destination", "gone"))
    tested = run_hilum(["doctor", "--self-test"], service.env, folder=service.folder)
    assert (tested.returncode, "came out as it must" in tested.stdout) == (0, True), tested.stdout
    assert service.count(Study) == studies
    assert service.files() == files
    found = figures(service)
    taken = ("destination", "@self-test"), ("outcome", "stored")
    assert labelled(found, "hilum_deliveries_total", *taken) == 2
    assert labelled(found, "hilum_undelivered_objects", ("destination", "gone")) == known


def test_a_self_test_that_comes_out_otherwise_is_an_alarm_until_it_passes(
    watched: tuple[Whole, ChildProcess],
) -> None:
    service, _ = watched
    settings = load({}, environ=service.env).settings
    store = FileStore(settings.data_path)
    right = partial(next_film, settings, service.database)

    def wrong() -> GoldenFilm:
        return replace(right(), probability=0.99)

    def alarms() -> list[tuple[str, bool]]:
        with service.database.read() as session:
            return [
                (row.sentence, row.cleared_at is None) for row in session.scalars(select(Alarm))
            ]

    stop = threading.Event()
    Jobs(settings, service.database, store, "test", wrong).test_self(stop)
    ((sentence, standing),) = alarms()
    assert standing
    assert "must be 0.99" in sentence
    Jobs(settings, service.database, store, "test", right).test_self(stop)
    assert alarms() == [(sentence, False)]
    assert service.count(Study) == 2


def figures(service: Whole) -> Figures:
    """Return all samples by name and labels."""
    with urlopen(f"{_url(service)}/metrics") as answer:
        text = answer.read().decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def labelled(found: Figures, name: str, *labels: tuple[str, str]) -> float:
    """Return a sample by name and labels; 0 where there is none."""
    return found.get((name, tuple(sorted(labels))), 0)


def delivered(service: Whole) -> float:
    """Say how many objects the PACS has acknowledged, as the metrics tell."""
    pacs = ("destination", "pacs"), ("outcome", "stored")
    return labelled(figures(service), "hilum_deliveries_total", *pacs)


def unready(service: Whole) -> dict[str, str]:
    """Return the checks that the service fails; empty where it is ready."""
    try:
        with urlopen(f"{_url(service)}/health/ready"):
            return {}
    except HTTPError as error:
        with error:
            checks: dict[str, str] = json.load(error)["checks"]
        return {name: said for name, said in checks.items() if said != "ok"}


def _url(service: Whole) -> str:
    return f"http://127.0.0.1:{service.env['HILUM_METRICS__PORT']}"
