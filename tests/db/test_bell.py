"""Who waits for tasks is woken by PostgreSQL, misses nothing, and needs no bell to go on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from db import bell, migrations, queue
from db.bell import CHANNEL, Bell, Waiter
from db.session import Database
from db.states import TaskKind
from tests import peers
from tests.db.makers import claim_one
from tests.peers import wait_until

READ, REPORT, DELIVER = TaskKind.READ, TaskKind.REPORT, TaskKind.DELIVER
FOREVER = 3600.0
only_postgres = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)


@pytest.fixture
def heard(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bell]:
    """A bell that hears; who waits for it would wait for ever if it did not ring."""
    monkeypatch.setattr(bell, "HEARD_SECONDS", FOREVER)
    with closing(Bell(database)) as ours:
        wait_until(lambda: ours.hears, "the bell to hear")
        yield ours


def enqueue(database: Database, subject: int, kind: TaskKind = READ, lane: str = "") -> None:
    with database.write() as session:
        queue.enqueue(session, kind, [subject], now=database.now(session), lane=lane)


def wakes(waiter: Waiter) -> threading.Event:
    """Return what is set when a wait that begins now has ended."""
    ended = threading.Event()

    def wait() -> None:
        waiter.wait(threading.Event(), FOREVER)
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    return ended


@only_postgres
def test_a_new_task_wakes_who_waits_for_its_kind_and_lane_alone(
    database: Database, heard: Bell
) -> None:
    reads = wakes(heard.waiter(READ, REPORT))
    pacs, ris = (wakes(heard.waiter(DELIVER, lane=lane)) for lane in ("pacs", "ris"))
    enqueue(database, 1, DELIVER, "pacs")
    assert pacs.wait(10)
    enqueue(database, 1, REPORT)
    assert reads.wait(10)
    assert not ris.is_set()


@only_postgres
def test_what_rings_between_a_look_and_the_wait_is_not_missed(
    database: Database, heard: Bell
) -> None:
    waiter, other = heard.waiter(READ), heard.waiter(READ)
    woken = wakes(other)
    enqueue(database, 1)
    assert woken.wait(10)  # so it has rung for both
    assert wakes(waiter).wait(10)


@only_postgres
def test_a_transaction_that_is_rolled_back_wakes_nobody(database: Database, heard: Bell) -> None:
    woken = wakes(heard.waiter(READ))
    with database.write() as session:
        queue.enqueue(session, READ, [1], now=database.now(session))
        session.get_transaction().rollback()  # type: ignore[union-attr]
    after = wakes(heard.waiter(REPORT))
    enqueue(database, 1, REPORT)
    assert after.wait(10)  # messages come in the order of commits
    assert not woken.is_set()


@only_postgres
def test_a_task_that_is_given_back_or_hurried_wakes(database: Database, heard: Bell) -> None:
    enqueue(database, 1)
    lease = claim_one(database, READ)
    waiter = heard.waiter(READ)
    woken = wakes(waiter)
    with database.write() as session:
        queue.give_back(session, lease, now=database.now(session))
    assert woken.wait(10)
    woken = wakes(waiter)
    with database.write() as session:
        queue.hurry(session, READ, "", now=database.now(session))
    assert woken.wait(10)


@only_postgres
def test_a_connection_that_ends_is_made_anew_and_everybody_looks(
    database: Database, heard: Bell
) -> None:
    waiter = heard.waiter(READ)
    woken = wakes(waiter)
    with database.engine.connect() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = :listen"
                " AND datname = current_database()"
            ),
            {"listen": f"LISTEN {CHANNEL}"},
        )
    assert woken.wait(10)
    wait_until(lambda: heard.hears, "the bell to hear again")
    wakes(waiter).wait(0.5)  # the ring of the new connection
    woken = wakes(waiter)
    enqueue(database, 1)
    assert woken.wait(10)


@only_postgres
def test_it_takes_no_connection_of_the_pool(database: Database, heard: Bell) -> None:
    assert heard.hears
    assert database.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


def test_without_a_bell_who_waits_looks_by_itself(database: Database) -> None:
    """It hears nothing yet, or never will: the wait ends after the time that was asked for."""
    ours = Bell(database)
    ours.close()
    begin = time.monotonic()
    ours.waiter(READ).wait(threading.Event(), 0.01)
    assert time.monotonic() - begin < FOREVER


def test_who_shall_stop_waits_no_longer(database: Database) -> None:
    stop = threading.Event()
    stop.set()
    with closing(Bell(database)) as ours:
        ours.waiter(READ).wait(stop, FOREVER)


def test_a_server_that_is_restarted_is_heard_again(tmp_path: Path) -> None:
    with peers.postgres() as server, closing(Database(server.database("bell"))) as database:
        migrations.upgrade(database, tmp_path)
        with closing(Bell(database)) as ours:
            wait_until(lambda: ours.hears, "the bell to hear")
            server.stop_at_once()
            wait_until(lambda: not ours.hears, "the bell to be silent")
            waiter = ours.waiter(READ)
            waiter.wait(threading.Event(), 0.01)  # without a server, who waits looks by itself
            server.start()
            wait_until(lambda: ours.hears, "the bell to hear again")
            woken = wakes(waiter)
            enqueue(database, 1)
            assert woken.wait(10)
