"""Hours that are to be summed up anew, because something of them changed after they were over."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import Delivery, Instance, Report, Result, StaleHour, StoredReading, Study

_HOUR = timedelta(hours=1)


def mark(session: Session, moments: Iterable[datetime], *, now: datetime) -> None:
    """Have the hours of some moments summed up anew, where they may be summed up already.

    Belongs into the transaction that changes something of those hours.
    """
    hours = {_hour_of(moment) for moment in moments}
    session.add_all(StaleHour(hour=hour) for hour in sorted(hours) if hour + _HOUR <= now)


def mark_study(session: Session, study_id: int, *, now: datetime) -> None:
    """Have every hour summed up anew that something of a study is in: it is to be erased."""
    reports = select(Report.id).where(Report.study_id == study_id)
    films = select(Instance.id).where(Instance.study_id == study_id)
    found: set[datetime] = set()
    for query in (
        select(Study.created_at).where(Study.id == study_id),
        select(Instance.received_at).where(Instance.study_id == study_id),
        select(Instance.settled_at).where(
            Instance.study_id == study_id, Instance.settled_at.is_not(None)
        ),
        select(StoredReading.created_at).where(StoredReading.instance_id.in_(films)),
        select(Delivery.first_sent_at)
        .join(Result, Result.id == Delivery.result_id)
        .where(Result.report_id.in_(reports), Delivery.first_sent_at.is_not(None)),
    ):
        found |= set(session.scalars(query))
    mark(session, found, now=now)


def _hour_of(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
