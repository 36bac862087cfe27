"""How much there is to do, and how long it has waited: figures for those who watch the service."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.models import CommitmentRequest, Delivery, Study, Task
from db.states import StudyState, TaskKind, TaskState

_WORK = (TaskKind.READ, TaskKind.REPORT)


@dataclass(frozen=True, slots=True)
class Tasks:
    """How many tasks of a kind and state there are, and when the oldest of them was made."""

    kind: TaskKind
    state: TaskState
    count: int
    oldest: datetime


@dataclass(frozen=True, slots=True)
class Undelivered:
    """How many objects a destination has still to get, and when the oldest of them was made."""

    destination: str
    count: int
    oldest: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """Everything that waits.

    `commitments` counts, by destination, the objects whose storage it has not committed itself to;
    `owed` the commitments that peers have asked of us and not been answered.
    """

    tasks: tuple[Tasks, ...]
    undelivered: tuple[Undelivered, ...]
    commitments: dict[str, int]
    owed: int
    open_studies: int


def standing(session: Session) -> Standing:
    """Look at the queue; what is done and recorded is not counted, however much there is of it."""
    tasks = session.execute(
        select(Task.kind, Task.state, func.count(), func.min(Task.created_at)).group_by(
            Task.kind, Task.state
        )
    )
    undelivered = session.execute(
        select(Task.lane, func.count(), func.min(Task.created_at))
        .where(Task.kind == TaskKind.DELIVER, Task.state != TaskState.QUARANTINED)
        .group_by(Task.lane)
    )
    commitments = session.execute(
        select(Delivery.destination, func.count())
        .where(Delivery.commit_at.is_not(None))
        .group_by(Delivery.destination)
    )
    owed = session.scalar(select(func.count()).select_from(CommitmentRequest))
    unreported = select(func.count()).select_from(Study).where(Study.state == StudyState.OPEN)
    return Standing(
        tuple(Tasks(*row) for row in tasks),
        tuple(Undelivered(*row) for row in undelivered),
        {row[0]: row[1] for row in commitments},
        owed or 0,
        session.scalar(unreported) or 0,
    )


def oldest_work(session: Session) -> datetime | None:
    """Return since when the film or report waits that has waited longest; None where none does."""
    moment = session.scalar(
        select(func.min(Task.created_at)).where(
            Task.kind.in_(_WORK), Task.state != TaskState.QUARANTINED
        )
    )
    assert moment is None or isinstance(moment, datetime)
    return moment
