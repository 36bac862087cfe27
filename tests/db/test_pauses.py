"""Destinations that are paused: what is for them waits, and goes at once when they are resumed."""

from __future__ import annotations

from datetime import timedelta

from db import pauses, queue
from db.session import Database
from db.states import TaskKind
from tests.db.makers import Clock, claim_one


def test_the_first_pause_holds_until_it_is_resumed(database: Database, clock: Clock) -> None:
    with database.write() as session:
        assert pauses.pause(session, "pacs", by="ada", reason="moves house", now=clock())
    with database.write() as session:
        clock.move(minutes=1)
        assert not pauses.pause(session, "pacs", by="bob", reason=None, now=clock())
    with database.read() as session:
        (found,) = pauses.pauses(session)
        assert (found.destination, found.by, found.reason) == ("pacs", "ada", "moves house")
        assert pauses.is_paused(session, "pacs")
        assert not pauses.is_paused(session, "other")
    with database.write() as session:
        assert pauses.resume(session, "pacs", now=clock())
        assert not pauses.resume(session, "pacs", now=clock())
    with database.read() as session:
        assert not pauses.is_paused(session, "pacs")


def test_what_was_put_off_is_due_when_its_destination_is_resumed(
    database: Database, clock: Clock
) -> None:
    with database.write() as session:
        for subject, lane in enumerate(("pacs", "other")):
            queue.enqueue(session, TaskKind.DELIVER, [subject], now=clock(), lane=lane)
        pauses.pause(session, "pacs", by="ada", reason=None, now=clock())
    for lane in ("pacs", "other"):
        lease = claim_one(database, TaskKind.DELIVER, lane=lane)
        with database.write() as session:
            queue.retry_later(session, lease, at=clock() + timedelta(minutes=10), error="down")
    with database.write() as session:
        pauses.resume(session, "pacs", now=clock())
    with database.read() as session:
        ready = [
            queue.any_ready(session, TaskKind.DELIVER, now=clock(), lane=lane)
            for lane in ("pacs", "other")
        ]
    assert ready == [True, False]


def test_what_a_destination_took_last_is_found_by_an_index(database: Database) -> None:
    if not database.is_sqlite:
        return
    query = (
        "EXPLAIN QUERY PLAN SELECT sent_at FROM delivery WHERE destination = 'pacs'"
        " AND sent_at IS NOT NULL ORDER BY sent_at DESC LIMIT 1"
    )
    with database.read() as session:
        plan = str(session.connection().exec_driver_sql(query).all())
    assert "ix_delivery_destination_sent_at" in plan
    assert "TEMP B-TREE" not in plan
