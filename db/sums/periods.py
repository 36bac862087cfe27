"""Hours, days and weeks (UTC; weeks begin on Monday), and how a period is made up of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

HOUR = timedelta(hours=1)


class Length(StrEnum):
    """How long a time is that is summed up."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"

    @property
    def delta(self) -> timedelta:
        """The same as a time."""
        return _DELTAS[self]

    def floor(self, moment: datetime) -> datetime:
        """Return when the hour, day or week began that a moment lies in."""
        hour = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        if self is Length.HOUR:
            return hour
        day = hour.replace(hour=0)
        return day if self is Length.DAY else day - timedelta(days=day.weekday())

    def ceil(self, moment: datetime) -> datetime:
        """Return the first begin of an hour, day or week that is not before a moment."""
        floor = self.floor(moment)
        return floor if floor == moment else floor + self.delta


_DELTAS = {Length.HOUR: HOUR, Length.DAY: timedelta(days=1), Length.WEEK: timedelta(days=7)}
_LONGEST_FIRST = (Length.WEEK, Length.DAY, Length.HOUR)


@dataclass(frozen=True, slots=True)
class Period:
    """From `since` on until before `until`, both at full hours of UTC."""

    since: datetime
    until: datetime

    @classmethod
    def around(cls, since: datetime, until: datetime) -> Period:
        """Return the shortest period of full hours that holds all between two moments."""
        return cls(Length.HOUR.floor(since), Length.HOUR.ceil(until))

    def starts(self, length: Length) -> list[datetime]:
        """List when the hours, days or weeks begin that this period has a part of."""
        found, start = [], length.floor(self.since)
        while start < self.until:
            found.append(start)
            start += length.delta
        return found


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a period: `length` tells which sums it is found in; None: in the rows alone."""

    length: Length | None
    since: datetime
    until: datetime


def pieces(
    period: Period,
    *,
    summed_until: datetime | None,
    stale: Collection[datetime] = (),
    longest: Length = Length.WEEK,
) -> list[Piece]:
    """Cover a period by as few sums as there are, none longer than `longest`, in order of time.

    Args:
        period: what to cover.
        summed_until: up to when there are sums; None: there are none.
        stale: hours whose sums do not hold any more.
        longest: a longer sum is not of use.
    """
    end = period.since if summed_until is None else min(period.until, summed_until)
    usable = _LONGEST_FIRST[_LONGEST_FIRST.index(longest) :]
    spoilt = {
        length: {length.floor(hour) for hour in stale if period.since <= hour < end}
        for length in usable
    }
    found: list[Piece] = []
    at = period.since
    while at < end:
        length = next(
            (
                each
                for each in usable
                if each.floor(at) == at and at + each.delta <= end and at not in spoilt[each]
            ),
            None,
        )
        until = at + (HOUR if length is None else length.delta)
        _append(found, Piece(length, at, until))
        at = until
    if at < period.until:
        _append(found, Piece(None, at, period.until))
    return found


def _append(found: list[Piece], piece: Piece) -> None:
    """Add a piece, or make the one before it longer where they are of the same kind."""
    if found and found[-1].length is piece.length:
        found[-1] = Piece(piece.length, found[-1].since, piece.until)
    else:
        found.append(piece)
