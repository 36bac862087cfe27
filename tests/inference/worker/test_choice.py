"""A worker follows what is activated: no film is dropped, and each result names its bundle."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from sqlalchemy.exc import OperationalError

from db import bundles
from db.bundles import BundleKey
from db.files import FileStore
from db.models import BundleProblem, Report, Result, StoredReading, Study
from db.session import Database
from inference.bundle import Bundle, BundleError
from inference.predict import Raw
from inference.worker import choice
from inference.worker.choice import BundleWatch, open_chosen
from tests.db.makers import rows, uid
from tests.inference.bundles import small_bundle
from tests.inference.worker.work import receive, reported, worker_settings, working
from tests.peers import wait_until

OTHER = BundleKey("other", "2", "2" * 64)
BROKEN = BundleKey("broken", "3", "3" * 64)


class Network:
    """What a worker needs of a predictor: it takes inputs of one size and finds every film normal.

    While `held` is set, it waits with the films that it was given.
    """

    runtime = "test"

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.input_size = bundle.input_size
        self.given = threading.Event()
        self.let_go = threading.Event()
        self.let_go.set()

    def predict(self, inputs: NDArray[np.uint8]) -> list[Raw]:
        assert inputs.shape[1:] == (self.input_size, self.input_size)
        self.given.set()
        assert self.let_go.wait(200)
        empty = np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
        return [Raw(np.array([2, 0, 0], np.float32), *empty) for _ in inputs]


class Loader:
    """Loads networks made beforehand, each once it is let go; remembers what it was asked for."""

    def __init__(self, networks: dict[BundleKey | None, Network | Exception]) -> None:
        self.networks = networks
        self.asked: list[BundleKey | None] = []
        self.let_go = threading.Event()
        self.let_go.set()

    def __call__(self, key: BundleKey | None) -> Network:
        self.asked.append(key)
        assert self.let_go.wait(200)
        found = self.networks[key]
        if isinstance(found, Exception):
            raise found
        return found


@pytest.fixture
def first(tmp_path: Path) -> Network:
    return Network(small_bundle(tmp_path / "first", id="first", input_size=64))


@pytest.fixture
def other(tmp_path: Path) -> Network:
    """Of another size, so that a film prepared for one cannot be read by the other."""
    folder = tmp_path / "other"
    made = small_bundle(folder, id="other", version="2")
    object.__setattr__(made, "input_size", 96)
    return Network(made)


@pytest.fixture
def loader(first: Network, other: Network) -> Loader:
    return Loader({None: first, OTHER: other, BROKEN: BundleError("its network is no network")})


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The database is asked at every poll, and what failed is tried again at once."""
    monkeypatch.setattr(choice, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(choice, "RETRY_SECONDS", 0.0)


@pytest.fixture
def watch(database: Database, loader: Loader) -> Iterator[BundleWatch]:
    with closing(BundleWatch(database, loader, "machine")) as watch:
        yield watch


def activate(database: Database, key: BundleKey | None) -> None:
    with database.write() as session:
        bundles.activate(session, key, by="test", reason=None, now=database.now(session))


def test_without_a_choice_there_is_nothing_to_follow(
    database: Database, loader: Loader, first: Network
) -> None:
    predictor, watch = open_chosen(database, loader, "machine")
    with closing(watch):
        assert predictor is first
        assert watch.poll() is None
    assert loader.asked == [None]


def test_a_poll_never_waits_and_hands_the_network_over_once(
    database: Database, loader: Loader, watch: BundleWatch, other: Network
) -> None:
    loader.let_go.clear()
    activate(database, OTHER)
    assert [watch.poll() for _ in range(3)] == [None] * 3
    loader.let_go.set()
    assert wait_until(watch.poll, "the network", seconds=200) is other
    assert [watch.poll() for _ in range(3)] == [None] * 3
    assert loader.asked == [OTHER]


def test_what_is_activated_while_another_loads_comes_after_it(
    database: Database, loader: Loader, watch: BundleWatch, first: Network, other: Network
) -> None:
    loader.let_go.clear()
    activate(database, OTHER)
    watch.poll()
    activate(database, None)
    loader.let_go.set()
    assert wait_until(watch.poll, "the network", seconds=200) is other
    assert wait_until(watch.poll, "the configured network", seconds=200) is first


def test_a_bundle_that_cannot_be_used_is_recorded_and_tried_again(
    database: Database, loader: Loader, watch: BundleWatch, other: Network
) -> None:
    activate(database, BROKEN)
    wait_until(lambda: watch.poll() or rows(database, BundleProblem), "a problem", seconds=200)
    [problem] = rows(database, BundleProblem)
    assert (problem.worker, problem.sentence) == ("machine", "its network is no network")
    loader.networks[BROKEN] = other
    assert wait_until(watch.poll, "the mended network", seconds=200) is other
    assert rows(database, BundleProblem) == []


def test_an_unforeseen_error_is_told_by_its_kind_alone(
    database: Database, loader: Loader, watch: BundleWatch
) -> None:
    loader.networks[BROKEN] = RuntimeError("Doe^John")
    activate(database, BROKEN)
    wait_until(lambda: watch.poll() or rows(database, BundleProblem), "a problem", seconds=200)
    [problem] = rows(database, BundleProblem)
    assert "RuntimeError" in problem.sentence
    assert "Doe" not in problem.sentence


def test_a_bundle_that_failed_is_left_alone_for_a_while(
    database: Database, loader: Loader, watch: BundleWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "RETRY_SECONDS", 3600.0)
    activate(database, BROKEN)
    wait_until(lambda: watch.poll() or rows(database, BundleProblem), "a problem", seconds=200)
    assert [watch.poll() for _ in range(5)] == [None] * 5
    assert loader.asked == [BROKEN]


def test_the_way_back_from_a_broken_bundle_loads_nothing_again(
    database: Database, loader: Loader, watch: BundleWatch, other: Network
) -> None:
    activate(database, OTHER)
    assert wait_until(watch.poll, "the network", seconds=200) is other
    activate(database, BROKEN)
    wait_until(lambda: watch.poll() or rows(database, BundleProblem), "a problem", seconds=200)
    with database.write() as session:
        bundles.roll_back(session, by="test", reason=None, now=database.now(session))
    asked = len(loader.asked)
    assert watch.poll() is None
    assert watch.poll() is None
    assert loader.asked[asked:] in ([], [BROKEN]), "a try that was under way may end"
    assert OTHER not in loader.asked[1:]


def test_at_the_start_the_active_bundle_is_loaded(
    database: Database, loader: Loader, other: Network
) -> None:
    activate(database, OTHER)
    predictor, watch = open_chosen(database, loader, "machine")
    with closing(watch):
        assert predictor is other
        assert watch.poll() is None
    assert loader.asked == [OTHER]


def test_at_the_start_a_broken_active_bundle_gives_way_to_the_configured_one(
    database: Database, loader: Loader, first: Network, other: Network
) -> None:
    activate(database, BROKEN)
    predictor, watch = open_chosen(database, loader, "machine")
    with closing(watch):
        assert predictor is first
        assert [each.sentence for each in rows(database, BundleProblem)] == [
            "its network is no network"
        ]
        loader.networks[BROKEN] = other
        assert wait_until(watch.poll, "the mended network", seconds=200) is other


def test_where_nothing_can_be_loaded_the_start_fails(database: Database, loader: Loader) -> None:
    loader.networks[None] = BundleError("no such folder")
    activate(database, BROKEN)
    with pytest.raises(BundleError, match="no such folder"):
        open_chosen(database, loader, "machine")


def test_a_database_that_fails_costs_no_loaded_network(
    database: Database,
    loader: Loader,
    watch: BundleWatch,
    other: Network,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clear_problem = bundles.clear_problem

    def fail(*_: object, **__: object) -> None:
        raise OperationalError("DELETE", {}, Exception("the disk is away"))

    activate(database, OTHER)
    monkeypatch.setattr(bundles, "clear_problem", fail)
    with pytest.raises(OperationalError):
        wait_until(watch.poll, "the network", seconds=200)
    monkeypatch.setattr(bundles, "clear_problem", clear_problem)
    assert watch.poll() is other
    assert loader.asked == [OTHER]


def test_films_in_flight_are_read_by_the_bundle_that_they_were_prepared_for(
    database: Database,
    store: FileStore,
    loader: Loader,
    first: Network,
    other: Network,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A film is with the old network when another of another input size takes over."""
    caplog.set_level("INFO")
    predictor, watch = open_chosen(database, loader, "machine")
    first.let_go.clear()
    receive(database, store, tmp_path, "normal", "opacity", "abnormal")
    settings = worker_settings(study_quiet_seconds=3600)
    with working(database, store, predictor, watch, settings):
        assert first.given.wait(200)
        activate(database, OTHER)
        wait_until(lambda: "Reading with other 2" in caplog.text, "the new network", seconds=200)
        receive(database, store, tmp_path, "normal")
        first.let_go.set()
        wait_until(lambda: len(rows(database, StoredReading)) == 4, "four readings", seconds=200)
    assert sorted(each.bundle for each in rows(database, StoredReading)) == [
        *["first 1"] * 3,
        "other 2",
    ]


def test_reading_goes_on_while_another_bundle_loads_and_after_it_failed(
    database: Database, store: FileStore, loader: Loader, first: Network, tmp_path: Path
) -> None:
    predictor, watch = open_chosen(database, loader, "machine")
    loader.let_go.clear()
    activate(database, BROKEN)
    with working(database, store, predictor, watch):
        wait_until(lambda: BROKEN in loader.asked, "a bundle that loads", seconds=200)
        receive(database, store, tmp_path, "normal")
        wait_until(lambda: reported(database, 1), "a report", seconds=200)
        loader.let_go.set()
        wait_until(lambda: rows(database, BundleProblem), "a problem", seconds=200)
        receive(database, store, tmp_path, "normal")
        wait_until(lambda: reported(database, 2), "another report", seconds=200)
    assert {each.bundle for each in rows(database, Report)} == {"first 1"}


def test_a_report_names_one_bundle_which_has_read_all_of_its_films(
    database: Database,
    store: FileStore,
    loader: Loader,
    first: Network,
    other: Network,
    tmp_path: Path,
) -> None:
    """What the old bundle read of an open study is read anew by the new one."""
    study = uid()
    receive(database, store, tmp_path, "normal", "opacity", study=study)
    with working(database, store, first, None, worker_settings(study_quiet_seconds=3600)):
        wait_until(lambda: len(rows(database, StoredReading)) == 2, "two readings", seconds=200)
    activate(database, OTHER)
    predictor, watch = open_chosen(database, loader, "machine")
    receive(database, store, tmp_path, "abnormal", study=study)
    with working(database, store, predictor, watch):
        wait_until(lambda: reported(database, 1), "a report", seconds=200)

    readings = [each.bundle for each in rows(database, StoredReading)]
    assert readings.count("first 1") == 2, "what was said stays in the history"
    assert readings.count("other 2") == 3
    [report], [row] = rows(database, Report), rows(database, Study)
    assert report.bundle == row.bundle == "other 2"
    [sr] = [each for each in rows(database, Result) if each.kind == "sr"]
    dataset = dcmread(store.path(sr.path))
    assert (dataset.ManufacturerModelName, dataset.SoftwareVersions) == ("other", "2")
    assert "algorithm other 2" in str(row.sentence)
