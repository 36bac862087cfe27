"""What is deleted after its time: a study's files and rows together, with a line that stays."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, Select, and_, delete, exists, func, or_, select
from sqlalchemy.orm import Session

from db.events import record
from db.models import Delivery, Instance, Report, Result, Study, Task
from db.states import DeliveryState, StudyState, Subject, TaskKind


def expired(session: Session, *, before: datetime, limit: int = 100) -> list[int]:
    """List studies that were reported before a moment and have nothing left to send."""
    return list(session.scalars(_expired(before).order_by(Study.id).limit(limit)))


def still_expired(session: Session, study_id: int, *, before: datetime) -> bool:
    """Lock a study, and tell whether `expired` would still list it: a film may have come since."""
    session.execute(select(Study.id).where(Study.id == study_id).with_for_update())
    return session.scalar(_expired(before).where(Study.id == study_id)) is not None


def oldest(session: Session, *, limit: int) -> list[tuple[Study, bool]]:
    """List the studies that came first, each with whether something of it is still to be sent."""
    query = select(Study, _unsent()).order_by(Study.id).limit(limit)
    return [(study, unsent) for study, unsent in session.execute(query)]


def kept(session: Session) -> int:
    """Count the studies that are here."""
    return session.scalar(select(func.count()).select_from(Study)) or 0


def files_of(session: Session, study_id: int) -> list[str]:
    """List the relative paths of all files that belong to a study."""
    films = session.scalars(select(Instance.path).where(Instance.study_id == study_id))
    results = session.scalars(select(Result.path).join(Report).where(Report.study_id == study_id))
    return [*films, *results]


def forget(session: Session, study_id: int, *, reason: str, now: datetime) -> None:
    """Delete all rows of a study, its tasks too; one event without patient data stays."""
    erase(session, study_id)
    record(session, Subject.STUDY, study_id, "deleted", study_id=None, at=now, reason=reason)


def erase(session: Session, study_id: int) -> None:
    """Delete all rows of a study, its tasks too, as if it had never come."""
    session.execute(delete(Task).where(tasks_of(study_id)))
    session.execute(delete(Study).where(Study.id == study_id))


def tasks_of(study_id: int) -> ColumnElement[bool]:
    """Return the condition that picks the tasks of a study, its images and its deliveries."""
    images = select(Instance.id).where(Instance.study_id == study_id)
    sent = select(Delivery.id).join(Result).join(Report).where(Report.study_id == study_id)
    return or_(
        and_(Task.kind.in_((TaskKind.READ, TaskKind.SHADOW)), Task.subject_id.in_(images)),
        and_(Task.kind == TaskKind.REPORT, Task.subject_id == study_id),
        and_(Task.kind == TaskKind.DELIVER, Task.subject_id.in_(sent)),
    )


def _unsent() -> ColumnElement[bool]:
    return exists().where(
        Report.study_id == Study.id,
        Result.report_id == Report.id,
        Delivery.result_id == Result.id,
        Delivery.state == DeliveryState.PENDING,
    )


def _expired(before: datetime) -> Select[int]:
    return select(Study.id).where(
        Study.state == StudyState.REPORTED, Study.reported_at < before, ~_unsent()
    )
