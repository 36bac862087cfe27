"""How each destination stands: what waits for it and why, what it refused, what it got last."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from db.configuration import DestinationPause
from db.models import Delivery, Task
from db.pauses import pauses
from db.states import TaskKind, TaskState


@dataclass(frozen=True, slots=True)
class Lane:
    """A destination, as the queue and the history know it.

    `waiting` objects are still to be delivered, the oldest of them since `oldest`; `problem` is why
    the last attempt with one of them failed. `rejected` were given up. `sent_at` is when it took
    the last one.
    """

    destination: str
    waiting: int
    oldest: datetime | None
    problem: str | None
    rejected: int
    sent_at: datetime | None
    pause: DestinationPause | None


def lanes(session: Session, names: Iterable[str]) -> list[Lane]:
    """List the destinations `names`, in this order; then others that something waits for."""
    waiting = _counted(session, Task.state != TaskState.QUARANTINED)
    rejected = _counted(session, Task.state == TaskState.QUARANTINED)
    paused = {each.destination: each for each in pauses(session)}
    known = list(dict.fromkeys(names))
    others = sorted({*waiting, *rejected, *paused} - set(known) - {""})
    return [
        Lane(
            name,
            *waiting.get(name, (0, None)),
            _problem(session, name) if name in waiting else None,
            rejected.get(name, (0, None))[0],
            _last_sent(session, name),
            paused.get(name),
        )
        for name in (*known, *others)
    ]


def _counted(
    session: Session, state: ColumnElement[bool]
) -> dict[str, tuple[int, datetime | None]]:
    """Count deliver tasks by destination, with when the oldest of them was made."""
    rows = session.execute(
        select(Task.lane, func.count(), func.min(Task.created_at))
        .where(Task.kind == TaskKind.DELIVER, state)
        .group_by(Task.lane)
    )
    return {lane: (count, oldest) for lane, count, oldest in rows}


def _problem(session: Session, name: str) -> str | None:
    return session.scalar(
        select(Task.error)
        .where(
            Task.kind == TaskKind.DELIVER,
            Task.lane == name,
            Task.state == TaskState.READY,
            Task.error.is_not(None),
        )
        .order_by(Task.not_before.desc())
        .limit(1)
    )


def _last_sent(session: Session, name: str) -> datetime | None:
    moment = session.scalar(
        select(Delivery.sent_at)
        .where(Delivery.destination == name, Delivery.sent_at.is_not(None))
        .order_by(Delivery.sent_at.desc())
        .limit(1)
    )
    assert moment is None or isinstance(moment, datetime)
    return moment
