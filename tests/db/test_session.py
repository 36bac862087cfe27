"""The rules of every connection: durability, foreign keys, aware times, writers that wait."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import IntegrityError, StatementError

from db.models import Event, Instance, Study
from db.session import Database
from db.sqlite import connect, journal_mode, library
from db.states import Subject
from tests.db.makers import NOON, Clock, film, receive, rows, stored_reading


@pytest.mark.parametrize(
    ("version", "mode"),
    [
        ((3, 40, 1), "TRUNCATE"),
        ((3, 44, 5), "TRUNCATE"),
        ((3, 44, 6), "WAL"),
        ((3, 45, 0), "TRUNCATE"),
        ((3, 50, 6), "TRUNCATE"),
        ((3, 50, 7), "WAL"),
        ((3, 51, 0), "TRUNCATE"),
        ((3, 51, 2), "TRUNCATE"),
        ((3, 51, 3), "WAL"),
        ((3, 52, 0), "WAL"),
        ((4, 0, 0), "WAL"),
    ],
)
def test_wal_only_where_its_reset_is_mended(version: tuple[int, ...], mode: str) -> None:
    assert journal_mode(version) == mode


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    with closing(Database(f"sqlite:///{tmp_path / 'test.sqlite'}")) as database:
        yield database


def test_sqlite_is_set_up_to_keep_what_it_acknowledges(sqlite: Database) -> None:
    for opening in (sqlite.read, sqlite.write):
        with opening() as session:
            asked = {
                name: session.scalar(text(f"PRAGMA {name}"))
                for name in ("synchronous", "foreign_keys", "journal_mode", "busy_timeout")
            }
        assert asked == {
            "synchronous": 2,
            "foreign_keys": 1,
            "journal_mode": journal_mode().lower(),
            "busy_timeout": 60_000,
        }


def test_postgres_is_set_up_to_keep_what_it_acknowledges(
    fresh_postgres: Callable[[], str],
) -> None:
    with closing(Database(fresh_postgres())) as database, database.write() as session:
        assert session.scalar(text("SHOW synchronous_commit")) == "on"


def test_foreign_keys_are_enforced(database: Database) -> None:
    def orphan() -> None:
        with database.write() as session:
            session.add(stored_reading(12345, NOON))

    with pytest.raises(IntegrityError):
        orphan()


def test_deleting_a_study_takes_its_images_along(database: Database) -> None:
    receive(database, film())
    with database.write() as session:
        session.execute(text("DELETE FROM study"))
    assert rows(database, Instance) == rows(database, Event) == []


def add_event(database: Database, at: datetime) -> None:
    with database.write() as session:
        session.add(Event(at=at, subject=Subject.TASK, subject_id=1, state="s"))


def test_a_naive_time_is_refused(database: Database) -> None:
    with pytest.raises(StatementError, match="naive datetime"):
        add_event(database, datetime(2024, 3, 1))
    assert rows(database, Event) == []


def test_a_naive_time_is_refused_in_a_comparison_too(database: Database) -> None:
    with database.read() as session, pytest.raises(StatementError, match="naive datetime"):
        session.scalars(select(Event).where(Event.at < datetime(2024, 3, 1))).all()


def test_times_come_back_aware_in_utc_and_to_the_microsecond(database: Database) -> None:
    tokyo = timezone(timedelta(hours=9))
    add_event(database, datetime(2024, 3, 1, 21, 30, 15, 123456, tzinfo=tokyo))
    (event,) = rows(database, Event)
    assert event.at == datetime(2024, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)
    assert event.at.utcoffset() == timedelta(0)


def test_times_of_different_zones_are_compared_by_the_moment(database: Database) -> None:
    add_event(database, NOON)
    later = (NOON + timedelta(seconds=1)).astimezone(timezone(timedelta(hours=-8)))
    with database.read() as session:
        assert session.scalar(select(Event.id).where(Event.at < later)) is not None
        assert session.scalar(select(Event.id).where(Event.at > later)) is None


def test_an_error_takes_everything_back(database: Database) -> None:
    def fail() -> None:
        with database.write() as session:
            session.add(Event(at=NOON, subject=Subject.TASK, subject_id=1, state="s"))
            session.flush()
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert rows(database, Event) == []


def test_writers_wait_for_each_other_and_none_fails(database: Database) -> None:
    """Read, then write, from several threads: SQLite would refuse this as a deadlock."""
    receive(database, film())
    start = threading.Barrier(4)
    failures: list[BaseException] = []

    def count_up() -> None:
        start.wait()
        try:
            for _ in range(5):
                with database.write() as session:
                    revision = session.scalar(select(Study.revision).with_for_update())
                    assert revision is not None
                    session.execute(update(Study).values(revision=revision + 1))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert rows(database, Study)[0].revision == 20


def test_reading_does_not_wait_for_a_writer(database: Database) -> None:
    with database.write() as writing:
        writing.execute(
            insert(Event).values(at=NOON, subject=Subject.TASK, subject_id=1, state="s")
        )
        assert rows(database, Event) == []
    assert len(rows(database, Event)) == 1


def test_the_present_is_the_clock_handed_in(database: Database, clock: Clock) -> None:
    with database.read() as session:
        assert database.now(session) == NOON
        clock.move(days=-1)
        assert database.now(session) == NOON - timedelta(days=1)


def test_the_present_moves_on_within_a_transaction_and_is_aware(database_url: str) -> None:
    with closing(Database(database_url)) as database, database.read() as session:
        first, second = database.now(session), database.now(session)
    assert first < second
    assert first.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - second) < timedelta(minutes=1)


def test_processes_that_open_a_new_database_at_once_all_can(tmp_path: Path) -> None:
    file = tmp_path / "shared.sqlite"
    with closing(connect(file)) as old:  # as an earlier version left it
        old.execute("PRAGMA journal_mode = TRUNCATE")
        old.execute("CREATE TABLE opened (number INTEGER)")
    program = (
        "import sys; from sqlalchemy import text; from db.session import Database\n"
        "with Database(sys.argv[1]).write() as session:\n"
        "    session.execute(text('INSERT INTO opened VALUES (1)'))"
    )
    command = [sys.executable, "-c", program, f"sqlite:///{file}"]
    opening = [subprocess.Popen(command) for _ in range(6)]
    assert [each.wait(60) for each in opening] == [0] * 6
    with closing(connect(file)) as database:
        assert database.execute("SELECT count(*) FROM opened").fetchone() == (6,)
        assert database.execute("PRAGMA journal_mode").fetchone() == (journal_mode().lower(),)


def test_where_no_newer_sqlite_can_be_had_pythons_own_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pysqlite3", None)
    monkeypatch.setitem(sys.modules, "pysqlite3.dbapi2", None)
    assert library() is sqlite3
