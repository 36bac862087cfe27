"""Destinations that get nothing for now: what is for them waits in the queue, however long."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, exists, select
from sqlalchemy.orm import Session

from db import queue
from db.configuration import DestinationPause
from db.dialects import insert_or_ignore
from db.states import TaskKind


def is_paused(session: Session, destination: str) -> bool:
    """Tell whether a destination is paused."""
    found = select(exists().where(DestinationPause.destination == destination))
    return bool(session.scalar(found))


def pauses(session: Session) -> Sequence[DestinationPause]:
    """List the destinations that are paused, by name."""
    return session.scalars(select(DestinationPause).order_by(DestinationPause.destination)).all()


def pause(
    session: Session, destination: str, *, by: str, reason: str | None, now: datetime
) -> bool:
    """Send a destination nothing from now on; what is on its way at this moment may still arrive.

    Returns whether it was not paused already: then whose pause it is stays as it was.
    """
    values = {"destination": destination, "at": now, "by": by, "reason": reason}
    made = insert_or_ignore(session, DestinationPause).values(values)
    return session.scalar(made.returning(DestinationPause.destination)) is not None


def resume(session: Session, destination: str, *, now: datetime) -> bool:
    """Send a destination what waits for it, at once; return whether it was paused."""
    gone = delete(DestinationPause).where(DestinationPause.destination == destination)
    was_paused = session.scalar(gone.returning(DestinationPause.destination)) is not None
    if was_paused:
        queue.hurry(session, TaskKind.DELIVER, destination, now=now)
    return was_paused
