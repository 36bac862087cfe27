"""Every change of state leaves a row: what, when and why."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from db.base import table_of
from db.models import Event
from db.states import Subject

STOPPED = "stopped"
"""Of a study: a result could not be made, or is not valid, and goes nowhere; the reason says why.

No state that a study stays in: the event has the time of the revision that the result is not in.
"""


def record(
    session: Session,
    subject: Subject,
    subject_id: int,
    state: str,
    *,
    study_id: int | None,
    at: datetime,
    reason: str | None = None,
) -> None:
    """Add an event to the transaction under way."""
    session.add(
        Event(
            at=at,
            study_id=study_id,
            subject=subject,
            subject_id=subject_id,
            state=str(state),
            reason=reason,
        )
    )


_ADD = insert(table_of(Event))


def event_of(
    subject: Subject,
    subject_id: int,
    state: str,
    at: datetime,
    study_id: int | None = None,
    *,
    reason: str | None = None,
) -> dict[str, Any]:
    """Return an event for `record_all`; the study of a study is itself."""
    return {
        "at": at,
        "study_id": subject_id if subject is Subject.STUDY else study_id,
        "subject": subject,
        "subject_id": subject_id,
        "state": str(state),
        "reason": reason,
    }


def record_all(session: Session, events: Sequence[dict[str, Any]]) -> None:
    """Add many events of `event_of` at once."""
    if events:
        session.connection().execute(_ADD, events)
