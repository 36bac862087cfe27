"""The self-test by clocks of its own: when it passes, fails, is late, broken off or left behind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field

import pytest

from db.files import FileStore
from db.models import Event, Study
from db.session import Database
from scp_service.self_test import SelfTest, Verdict
from settings.destinations.sink import SELF_TEST_AE
from tests.db.makers import (
    Clock,
    close_quiet,
    film,
    new_report,
    read_all,
    receive,
    report,
    rows,
    send_all,
)
from tests.scp_service.dicomweb.posting import file
from tests.scp_service.films import cr
from tests.scp_service.results import kept
from tests.scp_service.running import listener


@pytest.fixture
def database(database_url: str, clock: Clock) -> Iterator[Database]:
    """A database of each kind, whose clock stands still."""
    with closing(Database(database_url, clock=clock)) as opened:
        yield opened


@dataclass
class Film:
    """A film, and what must come of it."""

    finding: str | None = "opacity"
    probability: float | None = 0.7
    bundle: str = "test 1"
    tolerance: float = 0.01
    study_instance_uid: str = ""
    data: bytes = field(init=False)

    def __post_init__(self) -> None:
        """Draw it."""
        made = cr(PatientID=SELF_TEST_AE)
        self.study_instance_uid, self.data = str(made.StudyInstanceUID), file(made)


class Moments(threading.Event):
    """A stop that is never set: who waits for it lets time pass, and something happen."""

    def __init__(self, steps: list[Callable[[], object]], seconds: float = 0.5) -> None:
        super().__init__()
        self.now = 0.0
        self._steps, self._seconds = iter(steps), seconds

    def wait(self, timeout: float | None = None) -> bool:
        """Do what comes next; return whether this is set."""
        self.now += self._seconds
        next(self._steps, lambda: None)()
        return self.is_set()


@dataclass
class Bench:
    """What a self-test runs against: a listener; what others do, a test does itself."""

    database: Database
    store: FileStore
    clock: Clock

    def run(self, film: Film, moments: Moments) -> Verdict:
        """Run one self-test beside a listener, by the clock of `moments`."""
        with listener(self.database, self.store, peers=[{"ae_title": "XR1"}]) as settings:
            test = SelfTest(settings, self.database, self.store, lambda: film, lambda: moments.now)
            return test.run(moments)

    def read_and_report(self) -> None:
        """Do what a worker does."""
        read_all(self.database)
        self.clock.move(seconds=10)
        close_quiet(self.database)
        made = new_report(kept(self.store, "sr"))
        report(self.database, {"@self-test": ("sr",)}, made)

    def deliver(self) -> None:
        """Do what a deliverer does."""
        send_all(self.database, "@self-test")

    def assert_no_trace(self) -> None:
        """Neither rows nor files are left."""
        assert rows(self.database, Study) == []
        assert rows(self.database, Event) == []
        trees = ("films", "results")
        assert [path for tree in trees for path in (self.store.root / tree).rglob("*.dcm")] == []


@pytest.fixture
def bench(database: Database, store: FileStore, clock: Clock) -> Bench:
    """A listener's surroundings."""
    return Bench(database, store, clock)


def test_a_film_that_comes_the_whole_way_passes_and_leaves_no_trace(bench: Bench) -> None:
    assert bench.run(Film(), Moments([bench.read_and_report, bench.deliver])) == Verdict()
    bench.assert_no_trace()


@pytest.mark.parametrize(
    ("film", "problem"),
    [
        (Film(finding="normal"), "the finding is opacity and must be normal"),
        (Film(probability=0.72), "the probability is 0.7000 and must be 0.7200 (within 0.01)"),
        (Film(finding=None, probability=None), "the film was read, which it must not be"),
    ],
)
def test_a_film_that_comes_out_otherwise_fails(bench: Bench, film: Film, problem: str) -> None:
    verdict = bench.run(film, Moments([bench.read_and_report, bench.deliver]))
    assert verdict == Verdict(problem)
    bench.assert_no_trace()


def test_a_film_of_another_bundle_than_was_in_use_is_not_judged(bench: Bench) -> None:
    moments = Moments([bench.read_and_report, bench.deliver])
    assert bench.run(Film(bundle="other 1"), moments) == Verdict(judged=False)
    bench.assert_no_trace()


@pytest.mark.parametrize("done", [0, 1])
def test_a_film_that_is_late_fails_by_the_clock_and_says_where_it_is(
    bench: Bench, done: int
) -> None:
    moments = Moments([bench.read_and_report][:done], seconds=60)
    where = ("the film is not reported", "the report is not delivered")[done]
    assert bench.run(Film(), moments) == Verdict(f"{where} after 300 s")
    assert moments.now == 360
    bench.assert_no_trace()


def test_a_scheduler_that_is_told_to_stop_leaves_neither_verdict_nor_trace(bench: Bench) -> None:
    moments = Moments([])
    moments._steps = iter([moments.set])
    assert bench.run(Film(), moments) == Verdict(judged=False)
    bench.assert_no_trace()


def test_what_a_test_that_was_killed_left_goes_with_a_later_one(bench: Bench) -> None:
    """Not at once: it could be that of a test which still runs."""
    left = film(source_ae=SELF_TEST_AE)
    receive(bench.database, left)
    bench.clock.move(seconds=599)
    young = film(source_ae=SELF_TEST_AE)
    receive(bench.database, young, film(source_ae="XR1"))
    moments = Moments([], seconds=301)
    bench.run(Film(), moments)
    assert len(rows(bench.database, Study)) == 3
    bench.clock.move(seconds=2)
    bench.run(Film(), moments)
    uids = {each.study_instance_uid for each in rows(bench.database, Study)}
    assert left.study_instance_uid not in uids
    assert young.study_instance_uid in uids
    assert len(uids) == 2


# pynetdicom drops the socket of a connection that failed without closing it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_listener_that_is_gone_fails_with_its_reason(bench: Bench) -> None:
    with listener(bench.database, bench.store) as settings:
        pass
    made = Film()
    test = SelfTest(settings, bench.database, bench.store, lambda: made)
    problem = test.run(threading.Event()).problem
    assert problem is not None
    assert problem.startswith("the listener does not take the film: it cannot be reached")
