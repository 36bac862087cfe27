"""The moves of images: read, refused, quarantined, and open again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from db import queue, shadows
from db.events import record
from db.models import Instance, StoredReading, Study
from db.states import InstanceState, Priority, Subject, TaskKind


def record_readings(
    session: Session, readings: Sequence[tuple[queue.Lease, StoredReading]], *, now: datetime
) -> None:
    """Finish read tasks with readings, which are dated `now`; a bundle in shadow is asked too.

    Where a reading is urgent, the other images of its study are read first, and its report is made
    and delivered first.

    Raises:
        queue.LeaseLostError: a task was taken over; roll back.
    """
    queue.finish_all(session, [lease for lease, _ in readings])
    ids = [lease.subject_id for lease, _ in readings]
    _settle(session, ids, InstanceState.READ, now=now)
    for _, row in readings:
        row.created_at = now
        session.add(row)
    urgent = [row.instance_id for _, row in readings if row.urgent]
    if urgent:
        _expedite(session, urgent)
    shadows.ask(session, ids, now=now)


def record_refusal(
    session: Session, lease: queue.Lease, *, code: str, reason: str, now: datetime
) -> None:
    """Finish a read task whose image may not or cannot be read, for good; a shadow is asked too.

    Raises:
        queue.LeaseLostError: the task was taken over; roll back.
    """
    queue.finish(session, lease)
    _settle(session, [lease.subject_id], InstanceState.REFUSED, now=now, code=code, reason=reason)
    shadows.ask(session, [lease.subject_id], now=now)


def quarantine_image(session: Session, lease: queue.Lease, *, reason: str, now: datetime) -> None:
    """Set an image aside that could not be read in all attempts.

    Raises:
        queue.LeaseLostError: the task was taken over; roll back.
    """
    queue.quarantine(session, lease, error=reason)
    _settle(
        session,
        [lease.subject_id],
        InstanceState.QUARANTINED,
        now=now,
        code="undecodable",
        reason=reason,
    )


def reopen(session: Session, instance: Instance, *, reason: str, now: datetime) -> None:
    """Forget what became of an image; whoever does so puts it into the queue too."""
    instance.state = InstanceState.RECEIVED
    instance.refusal_code = instance.reason = instance.settled_at = None
    record(
        session,
        Subject.INSTANCE,
        instance.id,
        InstanceState.RECEIVED,
        study_id=instance.study_id,
        at=now,
        reason=reason,
    )


def _settle(
    session: Session,
    instance_ids: Sequence[int],
    state: InstanceState,
    *,
    now: datetime,
    code: str | None = None,
    reason: str | None = None,
) -> None:
    settled = session.execute(
        update(Instance)
        .where(Instance.id.in_(instance_ids))
        .values(state=state, refusal_code=code, reason=reason, settled_at=now)
        .returning(Instance.id, Instance.study_id)
        .execution_options(synchronize_session=False)
    )
    for instance_id, study_id in sorted((row.id, row.study_id) for row in settled):
        record(
            session,
            Subject.INSTANCE,
            instance_id,
            state,
            study_id=study_id,
            at=now,
            reason=reason,
        )


def _expedite(session: Session, instance_ids: Sequence[int]) -> None:
    studies = set(session.scalars(select(Instance.study_id).where(Instance.id.in_(instance_ids))))
    session.execute(
        update(Study)
        .where(Study.id.in_(studies))
        .values(priority=Priority.URGENT)
        .execution_options(synchronize_session="fetch")
    )
    others = select(Instance.id).where(
        Instance.study_id.in_(studies), Instance.state == InstanceState.RECEIVED
    )
    queue.expedite(session, TaskKind.READ, list(session.scalars(others)))
