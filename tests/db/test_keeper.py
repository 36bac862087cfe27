"""The thread that keeps leases alive: for as long as they are held, and not longer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from db import queue
from db.keeper import LeaseKeeper
from db.models import Task
from db.session import Database
from db.states import TaskKind
from tests import peers
from tests.db.makers import Clock, claim, film, receive, rows

LEASE_SECONDS = 0.06  # so that the thread comes round every 20 ms


@pytest.fixture
def keeper(database: Database) -> Iterator[LeaseKeeper]:
    with closing(LeaseKeeper(database, lease_seconds=LEASE_SECONDS)) as running:
        yield running


def leased(database: Database, count: int) -> list[queue.Lease]:
    receive(database, *(film() for _ in range(count)))
    return claim(database, TaskKind.READ, lease_seconds=LEASE_SECONDS)


def extended(database: Database, clock: Clock, *leases: queue.Lease) -> bool:
    ids = {lease.task_id for lease in leases}
    ends = [task.lease_until for task in rows(database, Task) if task.id in ids]
    return bool(ends) and all(end > clock.now for end in ends)


def test_held_leases_are_extended_and_others_are_not(
    database: Database, clock: Clock, keeper: LeaseKeeper
) -> None:
    held, also_held, left = leased(database, 3)
    keeper.hold([held])
    keeper.hold([also_held])
    for _ in range(3):
        clock.move(hours=1)
        peers.wait_until(lambda: extended(database, clock, held, also_held), "the extension")
    assert not extended(database, clock, left)


def test_a_lease_that_was_dropped_ends(
    database: Database, clock: Clock, keeper: LeaseKeeper
) -> None:
    held, dropped = leased(database, 2)
    keeper.hold([held, dropped])
    keeper.drop([dropped])
    clock.move(hours=1)
    peers.wait_until(lambda: extended(database, clock, held), "the extension")
    assert not extended(database, clock, dropped)


def test_a_lease_that_was_taken_over_is_not_extended(
    database: Database, clock: Clock, keeper: LeaseKeeper
) -> None:
    lost, held = leased(database, 2)
    clock.move(hours=1)
    with database.write() as session:
        taken = queue.take_lost(session, now=clock.now, owner="s", lease_seconds=1)
        assert len(taken) == 2
        mine = next(lease for lease in taken if lease.task_id == held.task_id)
    keeper.hold([lost, mine])
    clock.move(hours=1)
    peers.wait_until(lambda: extended(database, clock, mine), "the extension")
    assert not extended(database, clock, lost)


def test_a_database_that_fails_for_once_costs_no_lease(
    database: Database,
    clock: Clock,
    keeper: LeaseKeeper,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    real = queue.extend
    failures = iter([True, True])

    def extend(*arguments: Any, **how: Any) -> int:
        if next(failures, False):
            raise OperationalError("UPDATE", {}, Exception("CANARY"))
        return real(*arguments, **how)

    monkeypatch.setattr(queue, "extend", extend)
    (lease,) = leased(database, 1)
    keeper.hold([lease])
    clock.move(hours=1)
    peers.wait_until(lambda: extended(database, clock, lease), "the extension")
    assert caplog.text.count("could not be extended") == 2
    assert "CANARY" not in caplog.text
