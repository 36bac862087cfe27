"""What is deleted after its time, when, and what is next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from console.context import Context
from db import retention
from settings import Retention

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Due:
    """A study, and when it goes: None while it has no report, which it is kept for.

    `unsent`: it stays beyond that, until its results have reached every destination.
    """

    study_id: int
    source: str
    received_at: datetime
    reported_at: datetime | None
    at: datetime | None
    unsent: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """The rule in effect, how many studies are kept, and those that came first."""

    rule: Retention
    studies: int
    oldest: list[Due]


def plan(context: Context) -> Plan:
    """Tell what is deleted next: the studies that came first, with when each is due."""
    rule = context.settings.retention
    with context.database.read() as session:
        kept = retention.kept(session)
        oldest = retention.oldest(session, limit=_SHOWN)
    return Plan(
        rule,
        kept,
        [
            Due(
                study.id,
                study.source_ae,
                study.created_at,
                study.reported_at,
                study.reported_at + timedelta(days=rule.days)
                if rule.days and study.reported_at
                else None,
                unsent,
            )
            for study, unsent in oldest
        ],
    )
