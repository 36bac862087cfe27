"""Which time a page of figures is about: asked for by its address, so that it can be shared."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from starlette.exceptions import HTTPException

from db.sums.periods import Length, Period

PRESETS = {
    "24h": ("24 hours", timedelta(hours=24)),
    "7d": ("7 days", timedelta(days=7)),
    "30d": ("30 days", timedelta(days=30)),
    "90d": ("90 days", timedelta(days=90)),
    "1y": ("1 year", timedelta(days=365)),
    "2y": ("2 years", timedelta(days=730)),
}
"""Name in the address, in words, and how long before now it begins."""

_HOURS_UP_TO = timedelta(days=3)
_DAYS_UP_TO = timedelta(days=100)
_WEEKS_FROM_DAYS, _FILMS_A_DAY = 28, 100
"""A control chart of 28 days or more has steps of weeks where fewer films are read in a day."""


@dataclass(frozen=True, slots=True)
class Span:
    """A period, the preset that it is (or None), and the first and last day of it (UTC)."""

    period: Period
    preset: str | None
    first: date
    last: date

    @property
    def flow_length(self) -> Length:
        """How long a step of a chart of flow is."""
        whole = self.period.until - self.period.since
        if whole <= _HOURS_UP_TO:
            return Length.HOUR
        return Length.DAY if whole <= _DAYS_UP_TO else Length.WEEK

    def drift_length(self, films: int) -> Length:
        """How long a step of a control chart of so many films is: short ones have too few."""
        days = (self.period.until - self.period.since) / timedelta(days=1)
        if self.flow_length is Length.WEEK or (
            days >= _WEEKS_FROM_DAYS and films / days < _FILMS_A_DAY
        ):
            return Length.WEEK
        return Length.DAY

    @property
    def query(self) -> dict[str, str]:
        """What asks for it in an address."""
        if self.preset is not None:
            return {"period": self.preset}
        return {"from": self.first.isoformat(), "to": self.last.isoformat()}


def span_of(preset: str | None, first: str | None, last: str | None, now: datetime) -> Span:
    """Return the period that an address asks for; by default the last seven days.

    Args:
        preset: one of `PRESETS`; it counts where no day is given.
        first, last: days of UTC, YYYY-MM-DD, both included; one alone is a single day.
        now: the present.

    Raises:
        HTTPException: 400, it names no period.
    """
    if first or last:
        begin, end = _day(first or last or ""), _day(last or first or "")
        if end < begin:
            raise HTTPException(400, "The last day lies before the first.")
        since = datetime.combine(begin, time(), UTC)
        until = datetime.combine(end, time(), UTC) + timedelta(days=1)
        until = min(until, Length.HOUR.ceil(max(now, since + timedelta(hours=1))))
        return Span(Period(since, until), None, begin, end)
    if preset and preset not in PRESETS:
        raise HTTPException(400, f"A period is one of {', '.join(PRESETS)}.")
    name = preset or "7d"
    period = Period.around(now - PRESETS[name][1], now)
    return Span(period, name, period.since.date(), now.date())


def _day(text: str) -> date:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        raise HTTPException(400, "A day is written as YYYY-MM-DD.") from None
    if not 2000 <= found.year < 2200:
        raise HTTPException(400, "A day lies between 2000 and 2200.")
    return found
