"""Sums are kept: made of the hours that are over, made anew of those that changed, and rebuilt.

Sums are exact: they and the rows of the hours that are not summed up yet say together what all rows
say. What retention deletes stays in the sums. An hour that is made anew is made from the rows that
are there then.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from db.models import Instance, StaleHour, SummedUntil
from db.session import Database
from db.sums.gather import Hours, gather
from db.sums.periods import HOUR, Length
from db.sums.tables import ALL, SumTable, Values

SETTLING = timedelta(minutes=10)
"""How long after its end an hour is summed up: no transaction that was begun in it is left then."""
_HOURS_AT_ONCE = 168
_STALE_AT_ONCE = 48


@dataclass(frozen=True, slots=True)
class _Made:
    """What was added up: sums of the hours of some spans, by table."""

    begin: datetime
    until: datetime
    stale_ids: tuple[int, ...]
    stale_hours: tuple[datetime, ...]
    sums: tuple[tuple[SumTable, Hours], ...]


def advance(database: Database) -> bool:
    """Sum up the next hours that are over, a week at most, and anew what is stale.

    It reads without keeping anybody from writing, and then writes what it found in one transaction.
    Two machines may do so at once: the second one's work is dropped.

    Returns:
        whether there may be more to do.
    """
    with database.read() as session:
        made = _add_up(session, now=database.now(session))
    if made is None:
        return False
    with database.write() as session:
        row = session.get(SummedUntil, 1, with_for_update=True)
        if (made.begin if row is None else row.until) != made.begin:
            return True
        _replace(session, made)
        session.execute(delete(StaleHour).where(StaleHour.id.in_(made.stale_ids)))
        if row is None:
            session.add(SummedUntil(id=1, until=made.until))
        else:
            row.until = made.until
        return database.now(session) - SETTLING - HOUR >= made.until


def rebuild(database: Database) -> None:
    """Make all sums anew from the week on that the oldest film which is kept came in.

    What retention deleted of that week is in no sum any more; earlier weeks stay as they are.
    """
    with database.write() as session:
        first = session.scalar(select(func.min(Instance.received_at)))
        if first is None:
            return
        week = Length.WEEK.floor(first)
        for table in ALL:
            session.execute(delete(table.model).where(table.model.__table__.c.start >= week))
        session.merge(SummedUntil(id=1, until=week))
    while advance(database):
        pass


def _add_up(session: Session, *, now: datetime) -> _Made | None:
    # Marks first: what one of them is about can then be seen by all that follows.
    marks = session.execute(
        select(StaleHour.id, StaleHour.hour).order_by(StaleHour.id).limit(_STALE_AT_ONCE)
    ).all()
    begin = session.scalar(select(SummedUntil.until))
    if begin is None:
        first = session.scalar(select(func.min(Instance.received_at)))
        if first is None:
            return None
        begin = Length.WEEK.floor(first)
    until = max(begin, min(Length.HOUR.floor(now - SETTLING), begin + _HOURS_AT_ONCE * HOUR))
    if until == begin and not marks:
        return None
    stale = sorted({row.hour for row in marks if row.hour < begin})
    spans = [(begin, until), *((hour, hour + HOUR) for hour in stale)]
    sums = tuple(
        (table, [each for span in spans for each in gather(session, table, *span)]) for table in ALL
    )
    return _Made(begin, until, tuple(row.id for row in marks), tuple(stale), sums)


def _replace(session: Session, made: _Made) -> None:
    """Write the sums of hours, and those of the days and weeks that are complete with them."""
    hours = {*made.stale_hours}
    start = made.begin
    while start < made.until:
        hours.add(start)
        start += HOUR
    for table, found in made.sums:
        _write(session, table, Length.HOUR, hours, found)
        for length, of in ((Length.DAY, Length.HOUR), (Length.WEEK, Length.DAY)):
            starts = {length.floor(hour) for hour in hours}
            full = {each for each in starts if each + length.delta <= made.until}
            added = [
                (each, values)
                for each in sorted(full)
                for values in _total(session, table, of, each, each + length.delta)
            ]
            _write(session, table, length, full, added)


def _total(
    session: Session, table: SumTable, length: Length, since: datetime, until: datetime
) -> list[Values]:
    columns = table.model.__table__.c
    rows = session.execute(
        select(*(columns[name] for name in (*table.keys, *table.numbers, *table.histograms)))
        .where(columns.length == length, columns.start >= since, columns.start < until)
    )  # fmt: skip
    return table.total(dict(row._mapping) for row in rows)


def _write(
    session: Session, table: SumTable, length: Length, starts: Iterable[datetime], sums: Hours
) -> None:
    columns = table.model.__table__.c
    session.execute(
        delete(table.model).where(columns.length == length, columns.start.in_(list(starts)))
    )
    if sums:
        session.execute(
            insert(table.model),
            [{"length": length.value, "start": start, **values} for start, values in sums],
        )
