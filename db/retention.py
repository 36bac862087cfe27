"""What is deleted after its time: a study's files and rows together, with a line that stays."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, exists, select
from sqlalchemy.orm import Session

from db.events import record
from db.models import (
    Delivery,
    DeliveryState,
    Instance,
    Report,
    Result,
    Study,
    StudyState,
    Subject,
)


def expired(session: Session, *, before: datetime, limit: int = 100) -> list[int]:
    """List studies that were reported before a moment and have nothing left to send."""
    unsent = exists().where(
        Report.study_id == Study.id,
        Result.report_id == Report.id,
        Delivery.result_id == Result.id,
        Delivery.state == DeliveryState.PENDING,
    )
    return list(
        session.scalars(
            select(Study.id)
            .where(Study.state == StudyState.REPORTED, Study.reported_at < before, ~unsent)
            .order_by(Study.id)
            .limit(limit)
        )
    )


def files_of(session: Session, study_id: int) -> list[str]:
    """List the relative paths of all files that belong to a study."""
    films = session.scalars(select(Instance.path).where(Instance.study_id == study_id))
    results = session.scalars(select(Result.path).join(Report).where(Report.study_id == study_id))
    return [*films, *results]


def forget(session: Session, study_id: int, *, reason: str, now: datetime) -> None:
    """Delete all rows of a study; one event without patient data stays."""
    session.execute(delete(Study).where(Study.id == study_id))
    record(session, Subject.STUDY, study_id, "deleted", study_id=None, at=now, reason=reason)
