"""Questions to the sums: what there was in a period, in all or step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from db.models import StaleHour, SummedUntil
from db.sums.gather import gather
from db.sums.periods import Length, Period, Piece, pieces
from db.sums.tables import SumTable

Row = Mapping[str, Any]
"""A sum: what it is of, its numbers, its histograms (packed), and `start`, when it began."""


@dataclass(frozen=True, slots=True)
class Summed:
    """Up to when everything is summed up, and which hours before that are not any more."""

    until: datetime | None
    stale: frozenset[datetime]


def summed(session: Session) -> Summed:
    """Look up what the sums hold of."""
    return Summed(
        session.scalar(select(SummedUntil.until)),
        frozenset(session.scalars(select(StaleHour.hour).distinct())),
    )


def rows(
    session: Session,
    table: SumTable,
    period: Period,
    known: Summed,
    *,
    longest: Length = Length.WEEK,
    where: Mapping[str, str] | None = None,
    without: Sequence[str] = (),
) -> list[Row]:
    """List the sums that a period is made of, none longer than `longest`.

    Args:
        session: where to ask.
        table: of what.
        period: of which time.
        known: what `summed` returned in the same transaction.
        longest: no sum is longer, so that each lies within one step of a chart.
        where: values that keys must have.
        without: histograms that are not asked for; reading them takes most of the time.
    """
    parts = pieces(period, summed_until=known.until, stale=known.stale, longest=longest)
    wanted = where or {}
    found = _kept(session, table, parts, wanted, without)
    for part in parts:
        if part.length is None:
            found += [
                {**values, "start": start}
                for start, values in gather(session, table, part.since, part.until)
                if all(values[key] == value for key, value in wanted.items())
            ]
    return found


def _kept(
    session: Session,
    table: SumTable,
    parts: Sequence[Piece],
    wanted: Mapping[str, str],
    without: Sequence[str],
) -> list[Row]:
    columns = table.model.__table__.c
    ranges = [
        and_(columns.length == part.length, columns.start >= part.since, columns.start < part.until)
        for part in parts
        if part.length is not None
    ]
    if not ranges:
        return []
    histograms = [name for name in table.histograms if name not in without]
    query = select(
        *(columns[name] for name in ("start", *table.keys, *table.numbers, *histograms))
    ).where(or_(*ranges), *(columns[key] == value for key, value in wanted.items()))
    return [dict(row._mapping) for row in session.execute(query)]
