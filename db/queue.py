"""The queue: tasks are enqueued, leased, kept alive, finished, given back or quarantined.

A lease ends at `lease_until` unless its owner extends it. The fencing token makes sure that a
worker whose lease was taken over can no longer finish the task.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CursorResult,
    delete,
    exists,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.orm import Session

from db.base import table_of
from db.bell import ring
from db.dialects import insert_or_ignore
from db.models import Task
from db.states import Priority, TaskKind, TaskState

ALONE = "alone"
"""The lane of tasks whose worker was lost: it takes each of them while it has nothing else, so that
one that kills workers takes no other with it."""

_OTHERS_SHARE = 4
"""One in so many places of a batch is kept for what is less urgent."""

_LEASED = (
    Task.id,
    Task.kind,
    Task.subject_id,
    Task.lane,
    Task.attempts,
    Task.token,
    Task.created_at,
)


class Rank(IntEnum):
    """The order of tasks: the higher ones are leased first."""

    ROUTINE = 0
    AGAIN = 1
    """Asked for by hand."""
    URGENT = 2

    @classmethod
    def of(cls, priority: Priority) -> Rank:
        """Return the rank of the tasks of a study of this priority."""
        return cls.URGENT if priority is Priority.URGENT else cls.ROUTINE


class LeaseLostError(Exception):
    """The lease was taken over; whatever its former owner did must not be recorded."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A task that is ours until `until`: what to do (`kind`), to what (`subject_id`).

    `created_at` is when it was asked for.
    """

    task_id: int
    kind: TaskKind
    subject_id: int
    lane: str
    attempts: int
    token: int
    until: datetime
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before the next attempt: doubling from `first` up to `longest` seconds.

    The wait is drawn between half and all of that, so that many failed tasks do not return at the
    same moment.
    """

    first: float
    longest: float

    def delay(self, attempts: int, rng: random.Random | None = None) -> timedelta:
        """Return the wait after the given number of failed attempts (1 or more)."""
        full = min(self.longest, self.first * 2.0 ** min(attempts - 1, 30))
        draw = (rng or random).uniform(0.5, 1.0)
        return timedelta(seconds=full * draw)


def by_rank(subjects: Iterable[tuple[int, Priority]]) -> dict[Rank, list[int]]:
    """Group subjects by the rank of their study's priority."""
    groups: dict[Rank, list[int]] = {}
    for subject_id, priority in subjects:
        groups.setdefault(Rank.of(priority), []).append(subject_id)
    return groups


def enqueue(
    session: Session,
    kind: TaskKind,
    subject_ids: Sequence[int],
    *,
    now: datetime,
    lane: str = "",
    rank: Rank = Rank.ROUTINE,
) -> None:
    """Make a task for each subject, unless a live one exists already."""
    if not subject_ids:
        return
    rows = [
        {
            "kind": kind,
            "subject_id": subject_id,
            "lane": lane,
            "priority": rank,
            "state": TaskState.READY,
            "not_before": now,
            "token": 0,
            "attempts": 0,
            "created_at": now,
        }
        for subject_id in subject_ids
    ]
    session.connection().execute(insert_or_ignore(session, table_of(Task)), rows)
    ring(session, kind, lane)


def any_ready(session: Session, kind: TaskKind, *, now: datetime, lane: str = "") -> bool:
    """Tell whether there is anything to claim, without taking a write lock."""
    return bool(session.scalar(select(exists().where(*_ready(kind, lane, now)))))


def claim(
    session: Session,
    kind: TaskKind,
    *,
    owner: str,
    now: datetime,
    lease_seconds: float,
    limit: int,
    lane: str = "",
) -> list[Lease]:
    """Lease up to `limit` ready tasks of one kind and lane, most urgent first.

    So that nothing starves, one place in four is kept for those of lower rank, which have waited
    longest, where there are more of a higher rank than places. (Where there is one place, the
    higher rank always has it.)
    """
    ready = (
        select(Task.id, Task.priority)
        .where(*_ready(kind, lane, now))
        .with_for_update(skip_locked=True)
    )
    first = ready.order_by(Task.priority.desc(), Task.not_before, Task.id).limit(limit)
    chosen = list(session.execute(first))
    if not chosen:
        return []
    ids = [row.id for row in chosen]
    lowest, share = chosen[-1].priority, limit // _OTHERS_SHARE
    if len(ids) == limit and lowest > Rank.ROUTINE and share:
        below = ready.where(Task.priority < lowest)
        oldest = below.order_by(Task.priority, Task.not_before, Task.id).limit(share)
        others = list(session.scalars(oldest))
        ids = ids[: limit - len(others)] + others
    until = now + timedelta(seconds=lease_seconds)
    leased = session.execute(
        update(Task)
        .where(Task.id.in_(ids))
        .values(
            state=TaskState.LEASED,
            owner=owner,
            lease_until=until,
            attempts=Task.attempts + 1,
            token=Task.token + 1,
        )
        .returning(*_LEASED)
        .execution_options(synchronize_session=False)
    )
    by_id = {lease.task_id: lease for lease in _leases(leased, until)}
    return [by_id[task_id] for task_id in ids]


def take(
    session: Session,
    kind: TaskKind,
    subject_ids: Sequence[int],
    *,
    owner: str,
    now: datetime,
    lease_seconds: float,
) -> list[Lease]:
    """Lease the tasks of these subjects that wait, for what is done in the same transaction."""
    until = now + timedelta(seconds=lease_seconds)
    leased = session.execute(
        update(Task)
        .where(Task.kind == kind, Task.subject_id.in_(subject_ids), Task.state == TaskState.READY)
        .values(
            state=TaskState.LEASED,
            owner=owner,
            lease_until=until,
            attempts=Task.attempts + 1,
            token=Task.token + 1,
        )
        .returning(*_LEASED)
        .execution_options(synchronize_session=False)
    )
    return _leases(leased, until)


def extend(
    session: Session, leases: Sequence[Lease], *, now: datetime, lease_seconds: float
) -> int:
    """Move the end of leases that are still ours; return how many that were.

    What another transaction is recording at the moment is left out, not waited for.
    """
    ours = _held(session, leases, skip_locked=True)
    if ours:
        session.execute(
            update(Task)
            .where(Task.id.in_(ours))
            .values(lease_until=now + timedelta(seconds=lease_seconds))
            .execution_options(synchronize_session=False)
        )
    return len(ours)


def still_held(session: Session, leases: Sequence[Lease]) -> set[int]:
    """Return the ids of the tasks whose leases are still ours, locked until the transaction ends.

    Whoever records many outcomes in one transaction asks this first and leaves the others out.
    """
    return _held(session, leases, skip_locked=False)


def finish(session: Session, lease: Lease) -> None:
    """End a task for good; see `finish_all`."""
    finish_all(session, [lease])


def finish_all(session: Session, leases: Sequence[Lease]) -> None:
    """End tasks for good.

    Raises:
        LeaseLostError: somebody else holds one of them now; the transaction must be rolled back.
    """
    held = [(lease.task_id, lease.token) for lease in leases]
    found = session.execute(
        delete(Task)
        .where(tuple_(Task.id, Task.token).in_(held), Task.state == TaskState.LEASED)
        .execution_options(synchronize_session=False)
    )
    _require(found, len(held))


def give_back(session: Session, lease: Lease, *, now: datetime) -> None:
    """Return a task untouched, as on shutdown: the attempt does not count."""
    session.execute(
        update(Task)
        .where(*_ours(lease))
        .values(
            state=TaskState.READY,
            owner=None,
            lease_until=None,
            not_before=now,
            attempts=Task.attempts - 1,
        )
        .execution_options(synchronize_session=False)
    )
    ring(session, lease.kind, lease.lane)


def retry_later(
    session: Session,
    lease: Lease,
    *,
    at: datetime,
    error: str,
    counts: bool = True,
    alone: bool = False,
) -> None:
    """Return a task whose attempt failed; it may be leased again from `at` on.

    Args:
        counts: whether this was an attempt at all.
        alone: put it into the lane `ALONE`.

    Raises:
        LeaseLostError: somebody else holds the task now.
    """
    _require_one(
        session.execute(
            update(Task)
            .where(*_ours(lease))
            .values(
                state=TaskState.READY,
                owner=None,
                lease_until=None,
                not_before=at,
                error=error,
                attempts=Task.attempts - (0 if counts else 1),
                lane=ALONE if alone else Task.lane,
            )
            .execution_options(synchronize_session=False)
        )
    )


def quarantine(session: Session, lease: Lease, *, error: str) -> None:
    """Set a task aside; only `hilum retry` brings it back.

    Raises:
        LeaseLostError: somebody else holds the task now.
    """
    _require_one(
        session.execute(
            update(Task)
            .where(*_ours(lease))
            .values(state=TaskState.QUARANTINED, owner=None, lease_until=None, error=error)
            .execution_options(synchronize_session=False)
        )
    )


def owners(session: Session) -> set[str]:
    """Name those who hold leases, or held what has ended by now."""
    held = select(Task.owner).where(Task.state == TaskState.LEASED, Task.owner.is_not(None))
    return {owner for owner in session.scalars(held.distinct()) if owner is not None}


def take_lost(
    session: Session,
    *,
    now: datetime,
    owner: str,
    lease_seconds: float,
    gone: Collection[str] = (),
    limit: int = 100,
) -> list[Lease]:
    """Lease tasks whose owners fell silent, so that the caller can return or quarantine them.

    Those of owners that are known to be `gone` are taken before their leases have ended.
    """
    chosen = (
        select(Task.id)
        .where(
            Task.state == TaskState.LEASED,
            or_(Task.lease_until < now, Task.owner.in_(gone)),
        )
        .order_by(Task.lease_until)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    ids = list(session.scalars(chosen))
    if not ids:
        return []
    until = now + timedelta(seconds=lease_seconds)
    rows = session.execute(
        update(Task)
        .where(Task.id.in_(ids))
        .values(owner=owner, lease_until=until, token=Task.token + 1)
        .returning(*_LEASED)
        .execution_options(synchronize_session=False)
    )
    return _leases(rows, until)


def renew(
    session: Session,
    kind: TaskKind,
    subject_ids: Sequence[int],
    *,
    now: datetime,
    lane: str = "",
    rank: Rank = Rank.AGAIN,
) -> None:
    """Put subjects into the queue anew, with earlier attempts and quarantine forgotten.

    A task that somebody works on at the moment is left alone.
    """
    session.execute(
        delete(Task)
        .where(Task.kind == kind, Task.subject_id.in_(subject_ids), Task.state != TaskState.LEASED)
        .execution_options(synchronize_session=False)
    )
    enqueue(session, kind, subject_ids, now=now, lane=lane, rank=rank)


def expedite(session: Session, kind: TaskKind, subject_ids: Sequence[int]) -> None:
    """Have the tasks of these subjects that wait done before others."""
    if subject_ids:
        session.execute(
            update(Task)
            .where(
                Task.kind == kind,
                Task.subject_id.in_(subject_ids),
                Task.state == TaskState.READY,
                Task.priority < Rank.URGENT,
            )
            .values(priority=Rank.URGENT)
            .execution_options(synchronize_session=False)
        )


def hurry(session: Session, kind: TaskKind, lane: str, *, now: datetime) -> None:
    """Have what waits in a lane for its next attempt done at once."""
    session.execute(
        update(Task)
        .where(
            Task.kind == kind,
            Task.lane == lane,
            Task.state == TaskState.READY,
            Task.not_before > now,
        )
        .values(not_before=now)
        .execution_options(synchronize_session=False)
    )
    ring(session, kind, lane)


def _leases(rows: Iterable[Any], until: datetime) -> list[Lease]:
    return [
        Lease(
            row.id,
            row.kind,
            row.subject_id,
            row.lane,
            row.attempts,
            row.token,
            until,
            row.created_at,
        )
        for row in rows
    ]


def _held(session: Session, leases: Sequence[Lease], *, skip_locked: bool) -> set[int]:
    """Lock the tasks whose leases are ours, always in the same order: else two could wait for each
    other."""
    tokens = {lease.task_id: lease.token for lease in leases}
    rows = session.execute(
        select(Task.id, Task.token)
        .where(Task.id.in_(tokens), Task.state == TaskState.LEASED)
        .order_by(Task.id)
        .with_for_update(skip_locked=skip_locked)
    )
    return {row.id for row in rows if tokens[row.id] == row.token}


def _ready(kind: TaskKind, lane: str, now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        Task.kind == kind,
        Task.lane == lane,
        Task.state == TaskState.READY,
        Task.not_before <= now,
    )


def _ours(lease: Lease) -> tuple[ColumnElement[bool], ...]:
    return (
        Task.id == lease.task_id,
        Task.token == lease.token,
        Task.state == TaskState.LEASED,
    )


def _rowcount(result: object) -> int:
    assert isinstance(result, CursorResult)
    return result.rowcount


def _require_one(result: object) -> None:
    _require(result, 1)


def _require(result: object, count: int) -> None:
    if _rowcount(result) != count:
        raise LeaseLostError("the lease on this task has been taken over")
