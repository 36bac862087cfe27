"""Storage commitment (PS3.4 annex J): what is asked of destinations, and what peers ask of us."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from db import queue
from db.events import record
from db.models import CommitmentRequest, Delivery, Instance, Report, Result
from db.states import DeliveryState, Subject, TaskKind

MOST_RESENDS = 5
"""How often an object is sent again that a destination has acknowledged and does not have."""
_LONGEST_WAIT = timedelta(days=1)
_ANSWER_AGAIN_SECONDS = 5.0


class Outcome(StrEnum):
    """What a destination says of one object that it was asked about."""

    COMMITTED = "committed"
    """It has taken over the responsibility for the object's storage."""
    MISSING = "missing"
    """It does not have the object: sent again."""
    LATER = "later"
    """It could not tell: asked again."""
    REFUSED = "refused"
    """It keeps the object, and will not commit itself."""


@dataclass(frozen=True, slots=True)
class Said:
    """An outcome, with the destination's reason where it is not committed."""

    outcome: Outcome
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """An object that commitment is asked for; `sent_as` is its UID there if that is another."""

    delivery_id: int
    sop_class_uid: str
    sop_instance_uid: str
    sent_as: str | None


@dataclass(frozen=True, slots=True)
class Request:
    """What a peer asks of us: a transaction with (SOP class, SOP instance) pairs."""

    id: int
    transaction_uid: str
    peer_ae: str
    peer_address: str
    called_ae: str
    references: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Held:
    """A copy that we hold of an instance; `path` and digest of its file."""

    sop_class_uid: str
    path: str
    file_sha256: str


# What we ask of destinations -----------------------------------------------------------------


def any_due(session: Session, destination: str, *, now: datetime) -> bool:
    """Tell whether commitment is to be asked for, first or again."""
    due = select(Delivery.id).where(*_due(destination, now)).limit(1)
    return session.scalar(due) is not None


def owed(session: Session) -> set[str]:
    """Name the destinations that commitment is asked of, or will be, for something."""
    open_ones = select(Delivery.destination).where(
        Delivery.state == DeliveryState.SENT, Delivery.commit_at.is_not(None)
    )
    return set(session.scalars(open_ones.distinct()))


def claim(
    session: Session,
    destination: str,
    *,
    transaction_uid: str,
    timeout_seconds: float,
    now: datetime,
    limit: int,
) -> list[Asked]:
    """Take up to `limit` objects into a transaction; without an answer they are due again.

    The wait for the answer doubles each time, up to a day. What another process takes is left out.
    """
    rows = session.execute(
        select(Delivery, Result)
        .join(Result, Delivery.result_id == Result.id)
        .where(*_due(destination, now))
        .order_by(Delivery.commit_at)
        .limit(limit)
        .with_for_update(skip_locked=True, of=Delivery)
    )
    asked = []
    for delivery, result in rows:
        delivery.transaction_uid = transaction_uid
        delivery.commit_at = now + _wait(timeout_seconds, delivery.commit_attempts)
        delivery.commit_attempts += 1
        asked.append(
            Asked(delivery.id, result.sop_class_uid, result.sop_instance_uid, delivery.sent_as)
        )
    return asked


def note_failure(
    session: Session, asked: Sequence[Asked], *, reason: str, at: datetime, now: datetime
) -> None:
    """Have objects asked for again at `at`: the destination could not be asked."""
    for delivery, study_id in _deliveries(session, [each.delivery_id for each in asked]):
        delivery.commit_at = at
        _note(session, delivery, study_id, DeliveryState.SENT, reason, now)


def settle(
    session: Session, transaction_uid: str, said: Mapping[str, Said], *, now: datetime
) -> int:
    """Record what a destination says of a transaction's objects, by SOP Instance UID as sent.

    Returns how many objects that concerned: those that wait for this transaction alone.
    """
    rows = session.execute(
        select(Delivery, Result.sop_instance_uid, Report.study_id)
        .join(Result, Delivery.result_id == Result.id)
        .join(Report, Result.report_id == Report.id)
        .where(
            Delivery.transaction_uid == transaction_uid,
            Delivery.state == DeliveryState.SENT,
            Delivery.commit_at.is_not(None),
        )
    ).all()
    count = 0
    for delivery, uid, study_id in rows:
        answer = said.get(delivery.sent_as or uid)
        if answer is not None:
            _settle(session, delivery, study_id, answer, now)
            count += 1
    return count


def _settle(session: Session, delivery: Delivery, study_id: int, said: Said, now: datetime) -> None:
    match said.outcome:
        case Outcome.COMMITTED:
            delivery.commit_at = None
            _note(session, delivery, study_id, DeliveryState.COMMITTED, None, now)
        case Outcome.LATER:
            _note(session, delivery, study_id, DeliveryState.SENT, said.reason, now)
        case Outcome.REFUSED:
            delivery.commit_at = None
            _note(session, delivery, study_id, DeliveryState.SENT, said.reason, now)
        case Outcome.MISSING:
            delivery.commit_at = None
            again = delivery.commit_attempts <= MOST_RESENDS
            state = DeliveryState.PENDING if again else DeliveryState.REJECTED
            _note(session, delivery, study_id, state, said.reason, now)
            if again:
                _send_again(session, delivery, now)


def _send_again(session: Session, delivery: Delivery, now: datetime) -> None:
    rank = max(queue.Rank.AGAIN, queue.Rank.of(delivery.result.report.priority))
    lane = delivery.destination
    queue.renew(session, TaskKind.DELIVER, [delivery.id], now=now, lane=lane, rank=rank)


def _note(
    session: Session,
    delivery: Delivery,
    study_id: int,
    state: DeliveryState,
    reason: str | None,
    now: datetime,
) -> None:
    """Set state and reason, with an event where one of them is new."""
    if (delivery.state, delivery.reason) == (state, reason):
        return
    delivery.state, delivery.reason = state, reason
    record(session, Subject.DELIVERY, delivery.id, state, study_id=study_id, at=now, reason=reason)


def _due(destination: str, now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        Delivery.destination == destination,
        Delivery.state == DeliveryState.SENT,
        Delivery.commit_at <= now,
    )


def _wait(timeout_seconds: float, attempts: int) -> timedelta:
    return min(timedelta(seconds=timeout_seconds * 2 ** min(attempts, 20)), _LONGEST_WAIT)


def _deliveries(session: Session, ids: Sequence[int]) -> list[tuple[Delivery, int]]:
    rows = session.execute(
        select(Delivery, Report.study_id)
        .join(Result, Delivery.result_id == Result.id)
        .join(Report, Result.report_id == Report.id)
        .where(Delivery.id.in_(ids), Delivery.state == DeliveryState.SENT)
    )
    return [(delivery, study_id) for delivery, study_id in rows]


# What peers ask of us ------------------------------------------------------------------------


def open_request(
    session: Session,
    *,
    transaction_uid: str,
    peer_ae: str,
    peer_address: str,
    called_ae: str,
    references: Sequence[tuple[str, str]],
    answer_at: datetime,
    now: datetime,
) -> int:
    """Keep what a peer asks, to be answered; the same transaction again is the same request."""
    found = session.scalar(
        select(CommitmentRequest.id).where(
            CommitmentRequest.transaction_uid == transaction_uid,
            CommitmentRequest.peer_ae == peer_ae,
        )
    )
    if found is not None:
        return found
    request = CommitmentRequest(
        transaction_uid=transaction_uid,
        peer_ae=peer_ae,
        peer_address=peer_address,
        called_ae=called_ae,
        instances=[list(each) for each in references],
        attempts=0,
        answer_at=answer_at,
        requested_at=now,
    )
    session.add(request)
    session.flush()
    return request.id


def take_request(
    session: Session, *, ids: Sequence[int], lease_seconds: float, now: datetime
) -> Request | None:
    """Take a request that is one of `ids` or due; nobody else takes it within the lease."""
    request = session.scalar(
        select(CommitmentRequest)
        .where(or_(CommitmentRequest.id.in_(ids), CommitmentRequest.answer_at <= now))
        .order_by(CommitmentRequest.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    if request is None:
        return None
    request.answer_at = now + timedelta(seconds=lease_seconds)
    request.attempts += 1
    pairs = tuple((sop_class, instance) for sop_class, instance in request.instances)
    return Request(
        request.id,
        request.transaction_uid,
        request.peer_ae,
        request.peer_address,
        request.called_ae,
        pairs,
    )


def put_off_request(
    session: Session, request_id: int, *, longest: timedelta, now: datetime
) -> timedelta | None:
    """Have a request answered later; the wait doubles. None: it is given up, being too old."""
    request = session.get(CommitmentRequest, request_id)
    if request is None:
        return None
    if now - request.requested_at > longest:
        session.delete(request)
        return None
    seconds = _ANSWER_AGAIN_SECONDS * 2 ** (min(request.attempts, 10) - 1)
    wait = timedelta(seconds=min(seconds, 3600.0))
    request.answer_at = now + wait
    return wait


def close_request(session: Session, request_id: int) -> None:
    """Forget a request: the peer has the answer."""
    request = session.get(CommitmentRequest, request_id)
    if request is not None:
        session.delete(request)


def held(session: Session, sop_instance_uids: Sequence[str]) -> dict[str, list[Held]]:
    """Return the copies that we hold of instances, the current one first."""
    found: dict[str, list[Held]] = {}
    for start in range(0, len(sop_instance_uids), 500):
        rows = session.scalars(
            select(Instance)
            .where(Instance.sop_instance_uid.in_(sop_instance_uids[start : start + 500]))
            .order_by(Instance.current.desc(), Instance.id)
        )
        for row in rows:
            copy = Held(row.sop_class_uid, row.path, row.file_sha256)
            found.setdefault(row.sop_instance_uid, []).append(copy)
    return found
