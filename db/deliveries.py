"""The moves of deliveries: planned, sent, retried, rejected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import queue
from db.events import record
from db.models import Delivery, Report, Result, Study
from db.states import DeliveryState, Subject, TaskKind


@dataclass(frozen=True, slots=True)
class Parcel:
    """One object to be sent, with the lease that it is sent under."""

    lease: queue.Lease
    delivery_id: int
    study_id: int
    kind: str
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    path: str
    file_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """A parcel that arrived: the status answered, and the UID it was sent as if that is another.

    `commit`: whether its storage is to be committed by the destination too.
    """

    parcel: Parcel
    status: int
    sent_as: str | None = None
    commit: bool = False


def plan(
    session: Session,
    results: Iterable[tuple[int, Result, Mapping[str, Sequence[str]]]],
    *,
    now: datetime,
) -> None:
    """Make a delivery and its task for every result that a destination's profile asks for.

    Each result comes with its study's id and the profiles of that study's destinations: which kinds
    of object each of them gets. What belongs to an urgent report goes first.
    """
    planned = [
        (
            study_id,
            queue.Rank.of(result.report.priority),
            Delivery(
                result_id=result.id,
                destination=destination,
                state=DeliveryState.PENDING,
                created_at=now,
            ),
        )
        for study_id, result, profiles in results
        for destination, kinds in profiles.items()
        if result.kind in kinds
    ]
    session.add_all(delivery for _, _, delivery in planned)
    session.flush()
    lanes: dict[tuple[str, queue.Rank], list[int]] = {}
    for study_id, rank, delivery in planned:
        lanes.setdefault((delivery.destination, rank), []).append(delivery.id)
        record(
            session,
            Subject.DELIVERY,
            delivery.id,
            DeliveryState.PENDING,
            study_id=study_id,
            at=now,
        )
    for (lane, rank), ids in lanes.items():
        queue.enqueue(session, TaskKind.DELIVER, ids, now=now, lane=lane, rank=rank)


def parcels(session: Session, leases: Sequence[queue.Lease]) -> list[Parcel]:
    """Look up what leased deliver tasks are to send, in the order of the leases."""
    rows = session.execute(
        select(Delivery.id, Report.study_id, Result)
        .join(Result, Delivery.result_id == Result.id)
        .join(Report, Result.report_id == Report.id)
        .where(Delivery.id.in_([lease.subject_id for lease in leases]))
    )
    by_id = {row[0]: (row[1], row[2]) for row in rows}
    found = []
    for lease in leases:
        study_id, result = by_id[lease.subject_id]
        found.append(
            Parcel(
                lease=lease,
                delivery_id=lease.subject_id,
                study_id=study_id,
                kind=result.kind,
                sop_class_uid=result.sop_class_uid,
                sop_instance_uid=result.sop_instance_uid,
                transfer_syntax_uid=result.transfer_syntax_uid,
                path=result.path,
                file_sha256=result.file_sha256,
            )
        )
    return found


def record_sent(session: Session, sent: Sequence[Sent], *, now: datetime) -> None:
    """Finish deliver tasks: the destination has acknowledged the objects.

    Raises:
        queue.LeaseLostError: a task was taken over; roll back.
    """
    queue.finish_all(session, [each.parcel.lease for each in sent])
    ids = [each.parcel.delivery_id for each in sent]
    rows = {row.id: row for row in session.scalars(select(Delivery).where(Delivery.id.in_(ids)))}
    for each in sent:
        delivery = rows[each.parcel.delivery_id]
        delivery.status = each.status
        delivery.sent_as = each.sent_as
        delivery.sent_at = now
        delivery.first_sent_at = delivery.first_sent_at or now
        delivery.commit_at = now if each.commit else None
        _move(session, delivery, each.parcel, DeliveryState.SENT, None, now)


def record_rejected(
    session: Session, parcel: Parcel, *, status: int | None, reason: str, now: datetime
) -> None:
    """Give an object up: the destination refuses it for good.

    Raises:
        queue.LeaseLostError: the task was taken over; roll back.
    """
    queue.quarantine(session, parcel.lease, error=reason)
    delivery = session.get_one(Delivery, parcel.delivery_id)
    delivery.status = status
    _move(session, delivery, parcel, DeliveryState.REJECTED, reason, now)


def record_failure(
    session: Session,
    parcel: Parcel,
    *,
    status: int | None,
    reason: str,
    at: datetime,
    now: datetime,
    counts: bool = True,
) -> None:
    """Note a failed attempt; the next one comes at `at`. A new reason makes a new event.

    An attempt that failed for the destination's sake, not for the object's, does not count.

    Raises:
        queue.LeaseLostError: the task was taken over; roll back.
    """
    queue.retry_later(session, parcel.lease, at=at, error=reason, counts=counts)
    delivery = session.get_one(Delivery, parcel.delivery_id)
    delivery.status = status
    if delivery.reason != reason:
        _move(session, delivery, parcel, DeliveryState.PENDING, reason, now)


def resend(
    session: Session,
    study_id: int,
    *,
    everything: bool,
    now: datetime,
    reason: str = "sent again by hand",
) -> int:
    """Send a study's results again: all of them, or only what waits or was rejected."""
    rows = session.scalars(
        select(Delivery)
        .join(Result, Delivery.result_id == Result.id)
        .join(Report, Result.report_id == Report.id)
        .join(Study, Report.study_id == Study.id)
        .where(Study.id == study_id, Report.revision == Study.revision)
    )
    done = (DeliveryState.SENT, DeliveryState.COMMITTED)
    again = [row for row in rows if everything or row.state not in done]
    for delivery in again:
        rank = max(queue.Rank.AGAIN, queue.Rank.of(delivery.result.report.priority))
        queue.renew(
            session,
            TaskKind.DELIVER,
            [delivery.id],
            now=now,
            lane=delivery.destination,
            rank=rank,
        )
        delivery.state = DeliveryState.PENDING
        delivery.reason = None
        delivery.commit_at, delivery.commit_attempts = None, 0
        record(
            session,
            Subject.DELIVERY,
            delivery.id,
            DeliveryState.PENDING,
            study_id=study_id,
            at=now,
            reason=reason,
        )
    return len(again)


def _move(
    session: Session,
    delivery: Delivery,
    parcel: Parcel,
    state: DeliveryState,
    reason: str | None,
    now: datetime,
) -> None:
    delivery.state = state
    delivery.reason = reason
    record(
        session,
        Subject.DELIVERY,
        delivery.id,
        state,
        study_id=parcel.study_id,
        at=now,
        reason=reason,
    )
