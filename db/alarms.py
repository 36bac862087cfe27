"""Alarms: raised once, cleared once, and told over every channel until it was told.

A notice stands in the transaction that raises or clears its alarm, so that none is lost and none
told twice, whatever is killed: but for one that was sent in the moment before the kill.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, exists, select
from sqlalchemy.orm import Session

from db.dialects import insert_or_ignore
from db.models import Alarm, AlarmNotice
from db.states import AlarmKind

_SENDING_SECONDS = 120
"""How long a notice that somebody sends is left alone."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that is wrong now: what, with which destination if with one, and a sentence."""

    kind: AlarmKind
    sentence: str
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """What is to be told over a channel: the alarm, and whether it is over."""

    id: int
    channel: str
    attempts: int
    alarm_id: int
    kind: AlarmKind
    subject: str
    sentence: str
    raised_at: datetime
    cleared_at: datetime | None


def reconcile(
    session: Session,
    conditions: Sequence[Condition],
    *,
    kinds: Collection[AlarmKind],
    channels: Collection[str],
    now: datetime,
) -> tuple[list[Alarm], list[Alarm]]:
    """Raise what is wrong and clear what is over; return what was raised and what was cleared.

    Args:
        conditions: all that is wrong, of the kinds that were looked at.
        kinds: those kinds; alarms of others are left as they are.
        channels: where it is to be told.
    """
    query = select(Alarm).where(Alarm.kind.in_(kinds), Alarm.cleared_at.is_(None))
    query = query.with_for_update()  # who clears one at the same time is waited for
    standing = {(each.kind, each.subject): each for each in session.scalars(query)}
    wrong = {(each.kind, each.subject): each for each in conditions}
    values = [
        {"kind": each.kind, "subject": each.subject, "sentence": each.sentence, "raised_at": now}
        for key, each in wrong.items()
        if key not in standing
    ]
    raised: list[Alarm] = []
    if values:
        statement = insert_or_ignore(session, Alarm).returning(Alarm)
        raised = list(session.scalars(statement, values))
    cleared = [each for key, each in standing.items() if key not in wrong]
    for each in cleared:
        each.cleared_at = now
    session.add_all(
        AlarmNotice(alarm_id=alarm.id, channel=channel, cleared=over, send_at=now)
        for alarms, over in ((raised, False), (cleared, True))
        for alarm in alarms
        for channel in channels
    )
    session.flush()
    return raised, cleared


def any_due(session: Session, *, now: datetime) -> bool:
    """Tell whether there is anything to tell, without taking a write lock."""
    return bool(session.scalar(select(exists().where(AlarmNotice.send_at <= now))))


def take_due(session: Session, *, now: datetime, limit: int = 5) -> list[Notice]:
    """Return the notices that are due, oldest first, and leave them to the caller for a while."""
    rows = session.execute(
        select(AlarmNotice, Alarm)
        .join(Alarm, AlarmNotice.alarm_id == Alarm.id)
        .where(AlarmNotice.send_at <= now)
        .order_by(AlarmNotice.id)
        .limit(limit)
        .with_for_update(of=AlarmNotice, skip_locked=True)
    )
    found = []
    for notice, alarm in rows:
        notice.send_at = now + timedelta(seconds=_SENDING_SECONDS)
        notice.attempts += 1
        found.append(
            Notice(
                notice.id,
                notice.channel,
                notice.attempts,
                alarm.id,
                alarm.kind,
                alarm.subject,
                alarm.sentence,
                alarm.raised_at,
                alarm.cleared_at if notice.cleared else None,
            )
        )
    return found


def told(session: Session, notice: Notice) -> None:
    """Forget a notice: it was told, or nobody is to be told any more."""
    session.execute(delete(AlarmNotice).where(AlarmNotice.id == notice.id))


def put_off(session: Session, notice: Notice, *, until: datetime) -> None:
    """Have a notice told later."""
    row = session.get(AlarmNotice, notice.id)
    if row is not None:
        row.send_at = until


def standing(session: Session) -> list[Alarm]:
    """List the alarms that are not over, oldest first."""
    return list(session.scalars(select(Alarm).where(Alarm.cleared_at.is_(None)).order_by(Alarm.id)))
