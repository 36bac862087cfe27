"""The jobs that go by the clock: each is called by hand, on a clock that is moved by hand."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from db import queue
from db.files import FileStore, Intake
from db.models import Event, Instance, Study
from db.session import Database
from db.states import InstanceState, TaskKind
from scp_service import schedule
from scp_service.schedule import Jobs, run_jobs
from tests import peers
from tests.db.makers import (
    Clock,
    claim,
    claim_one,
    film,
    new_report,
    read_all,
    receive,
    reported_study,
    rows,
    send_all,
    states,
)
from tests.scp_service.results import kept
from tests.scp_service.running import configured


@pytest.fixture
def database(fresh_sqlite: Callable[[], str], clock: Clock) -> Iterator[Database]:
    with closing(Database(fresh_sqlite(), clock=clock)) as opened:
        yield opened


@pytest.fixture
def jobs(database: Database, store: FileStore) -> Jobs:
    settings = configured(store.root, study_quiet_seconds=3, worker__max_attempts=2)
    return Jobs(settings, database, store, "schedule@test:1")


def keeping(database: Database, store: FileStore, days: int) -> Jobs:
    return Jobs(configured(store.root, retention__days=days), database, store, "schedule@test:1")


def stored_study(database: Database, store: FileStore, clock: Clock) -> tuple[int, list[Path]]:
    """Have a study with real files received, reported and sent; return its id and its files."""
    intake = Intake(store)
    content = f"film {clock.now}".encode()
    path = intake.put([b"head", content], datetime(2024, 3, 1, tzinfo=UTC))
    intake.settle(path, keep=True)
    intake.close()
    result = kept(store, "sr")
    study_id = reported_study(
        database,
        clock,
        film(content, path=path),
        made=new_report(result),
        profiles={"pacs": ("sr",)},
    )
    send_all(database)
    return study_id, [store.path(path), store.path(result.path)]


def reports_due(database: Database) -> int:
    return len(claim(database, TaskKind.REPORT))


def test_a_quiet_study_is_reported_after_its_time(
    database: Database, jobs: Jobs, clock: Clock
) -> None:
    receive(database, film())
    read_all(database)
    clock.move(seconds=2.9)
    jobs.close_quiet_studies()
    assert reports_due(database) == 0
    clock.move(seconds=0.1)
    jobs.close_quiet_studies()
    jobs.close_quiet_studies()
    assert reports_due(database) == 1


def test_nothing_quiet_takes_no_write_lock(
    database: Database, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write() -> None:
        raise AssertionError("nothing is to be written")

    monkeypatch.setattr(database, "write", write)
    jobs.close_quiet_studies()


def test_the_tasks_of_lost_workers_return_and_end_in_quarantine(
    database: Database, jobs: Jobs, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    made = film()
    receive(database, made)
    for attempt, lane in ((1, ""), (2, queue.ALONE)):
        assert claim_one(database, TaskKind.READ, lane=lane, lease_seconds=30).attempts == attempt
        jobs.return_lost_tasks()
        assert claim(database, TaskKind.READ, lane=lane) == []
        clock.move(seconds=31)
        jobs.return_lost_tasks()
    assert states(database, made) == [InstanceState.QUARANTINED]
    assert caplog.text.count("1 tasks of lost workers were taken back") == 2


def test_retention_deletes_files_and_rows_together(
    database: Database, store: FileStore, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    _, old = stored_study(database, store, clock)
    clock.move(days=20)
    young_id, young = stored_study(database, store, clock)
    clock.move(days=11)
    keeping(database, store, 30).delete_expired_studies()
    assert not any(path.exists() for path in old)
    assert all(path.exists() for path in young)
    assert [study.id for study in rows(database, Study)] == [young_id]
    (left,) = [event for event in rows(database, Event) if event.study_id is None]
    assert (left.state, left.reason) == ("deleted", "retention: older than 30 days")
    assert "1 studies were deleted after 30 days" in caplog.text


def test_retention_is_off_unless_it_is_configured(
    database: Database, store: FileStore, clock: Clock
) -> None:
    _, files = stored_study(database, store, clock)
    clock.move(days=10_000)
    keeping(database, store, 0).delete_expired_studies()
    assert all(path.exists() for path in files)
    assert len(rows(database, Study)) == 1


def test_retention_leaves_a_study_that_comes_to_life_at_the_last_moment(
    database: Database, store: FileStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = film()
    reported_study(database, clock, made, profiles={})
    clock.move(days=31)
    real = database.write

    def write() -> Any:
        monkeypatch.setattr(database, "write", real)
        receive(database, film(study_instance_uid=made.study_instance_uid))
        return real()

    monkeypatch.setattr(database, "write", write)
    monkeypatch.setattr(
        store, "remove", lambda path: pytest.fail(f"{path} belongs to a living study")
    )
    keeping(database, store, 30).delete_expired_studies()
    assert len(rows(database, Instance)) == 2
    assert [event for event in rows(database, Event) if event.state == "deleted"] == []


def test_a_file_that_is_gone_already_does_not_stop_retention(
    database: Database, store: FileStore, clock: Clock
) -> None:
    _, files = stored_study(database, store, clock)
    files[0].unlink()
    clock.move(days=31)
    keeping(database, store, 30).delete_expired_studies()
    assert rows(database, Study) == []


def test_whole_files_are_found_whole(
    database: Database, store: FileStore, jobs: Jobs, clock: Clock
) -> None:
    stored_study(database, store, clock)
    before = len(rows(database, Event))
    assert jobs.check_files() == 0
    assert len(rows(database, Event)) == before


def damage_flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def damage_cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def damage_remove(path: Path) -> None:
    path.unlink()


def damage_unreadable(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("which", ["film", "result"])
@pytest.mark.parametrize("damage", [damage_flip, damage_cut, damage_remove, damage_unreadable])
def test_a_damaged_file_is_found_and_told_of(
    database: Database,
    store: FileStore,
    jobs: Jobs,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[Path], None],
    which: str,
) -> None:
    stored_study(database, store, clock)
    clock.move(seconds=1)
    study_id, (one, other) = stored_study(database, store, clock)
    assert jobs.check_files() == 0
    victim = one if which == "film" else other
    damage(victim)
    assert jobs.check_files() == 1
    (event,) = [each for each in rows(database, Event) if each.state == "damaged"]
    assert (event.study_id, event.at) == (study_id, clock.now)
    assert str(victim.relative_to(store.root)) in str(event.reason)
    assert "1 stored files are missing or differ" in caplog.text


def test_half_written_results_of_killed_workers_go_after_an_hour(
    store: FileStore, jobs: Jobs
) -> None:
    folder = store.root / "results" / "2024" / "03" / "01"
    folder.mkdir(parents=True)
    for name, age in (("old.part", 3700), ("young.part", 3500), ("old.dcm", 3700)):
        (folder / name).write_bytes(b"x")
        moment = datetime.now(UTC).timestamp() - age
        os.utime(folder / name, (moment, moment))
    jobs.tidy()
    assert {path.name for path in folder.iterdir()} == {"young.part", "old.dcm"}


def test_the_clock_runs_the_jobs_and_a_failing_one_comes_again(
    database: Database,
    jobs: Jobs,
    clock: Clock,
    store: FileStore,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    failures = iter(
        [OperationalError("SELECT", {}, Exception("CANARY")), OSError(28, "No space left")]
    )
    real = jobs.close_quiet_studies

    def sometimes() -> None:
        for error in failures:
            raise error
        real()

    monkeypatch.setattr(schedule, "_CLOSE_SECONDS", 0.02)
    monkeypatch.setattr(jobs, "close_quiet_studies", sometimes)
    receive(database, film())
    read_all(database)
    clock.move(seconds=10)
    stop = threading.Event()
    running = threading.Thread(target=run_jobs, args=(jobs, configured(store.root), stop))
    running.start()
    try:
        peers.wait_until(lambda: reports_due(database), "the report task")
    finally:
        stop.set()
        running.join(30)
    assert not running.is_alive()
    assert "A scheduled job failed: the database (OperationalError)" in caplog.text
    assert "A scheduled job failed: the data folder (No space left)" in caplog.text
    assert "CANARY" not in caplog.text


def test_archives_that_are_to_be_polled_are_and_others_are_not(
    database: Database, store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = {"kind": "dicomweb", "url": "http://127.0.0.1:9"}
    settings = configured(
        store.root,
        archives=[{"name": "polled", "poll_minutes": 0.001, **archive}, {"name": "not", **archive}],
    )
    polled = []
    monkeypatch.setattr(Jobs, "poll", lambda _self, archive, _stop: polled.append(archive.name))
    stop = threading.Event()
    jobs = Jobs(settings, database, store, "schedule@test:1")
    running = threading.Thread(target=run_jobs, args=(jobs, settings, stop))
    running.start()
    try:
        peers.wait_until(lambda: len(polled) >= 2, "the archive to be polled twice")
    finally:
        stop.set()
        running.join(30)
    assert set(polled) == {"polled"}


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_of_two_schedulers_one_tests_and_polls_and_the_other_takes_over(
    kind: str,
    request: pytest.FixtureRequest,
    store: FileStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    archive = {"name": "pacs", "kind": "dicomweb", "url": "http://127.0.0.1:9"}
    settings = configured(
        store.root,
        self_test__every_minutes=0.001,
        archives=[{"poll_minutes": 0.001, **archive}],
    )
    ran: list[tuple[str, Jobs]] = []
    monkeypatch.setattr(Jobs, "poll", lambda self, *_: ran.append(("poll", self)))
    monkeypatch.setattr(Jobs, "test_self", lambda self, _: ran.append(("test", self)))
    url = request.getfixturevalue(f"fresh_{kind}")()
    databases = [Database(url), Database(url)]
    made = [Jobs(settings, each, store, "schedule@test") for each in databases]
    stops = [threading.Event(), threading.Event()]
    threads = [
        threading.Thread(target=run_jobs, args=(jobs, settings, stop))
        for jobs, stop in zip(made, stops, strict=True)
    ]
    try:
        for thread in threads:
            thread.start()
        peers.wait_until(lambda: len(ran) >= 40, "many runs")
        leader = ran[0][1]
        assert set(ran) == {("poll", leader), ("test", leader)}
        stops[made.index(leader)].set()
        peers.wait_until(lambda: len(set(ran)) == 4, "the other one to take over")
    finally:
        for stop, thread in zip(stops, threads, strict=True):
            stop.set()
            thread.join(30)
        for each in databases:
            each.close()


def test_a_clock_that_is_set_back_by_a_day_puts_nothing_off_by_a_day(
    database: Database, jobs: Jobs, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    receive(database, film(), film())
    claim(database, TaskKind.READ, limit=1)
    clock.move(days=-1)
    jobs.return_lost_tasks()
    assert "The clock was set back: 4 waiting things are due at once." in caplog.text
    clock.move(seconds=1)
    jobs.return_lost_tasks()
    assert read_all(database) == 2
    clock.move(seconds=3)
    jobs.close_quiet_studies()
    assert reports_due(database) == 2
