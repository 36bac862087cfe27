"""Every change of state leaves a row: what, when and why."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

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
