"""Whether what a bundle says, or is given, has moved, by source and station."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from db.sums.ask import Row, Summed, rows
from db.sums.control import (
    Chart,
    Shift,
    Step,
    deviation,
    mean_chart,
    share_chart,
    shift,
    wilson,
)
from db.sums.histograms import GREY, GREY_SPREAD, PROBABILITY, Bins, Counts
from db.sums.periods import Length, Period
from db.sums.tables import READINGS

BASELINE_DAYS = {Length.DAY: 91, Length.WEEK: 364}
"""How long before a period the films came that it is compared with, by the length of its steps."""
LEAST_BASELINE = 100
"""With fewer films before, a period is held against itself."""

Place = tuple[str, str]
"""A source and a station."""


@dataclass(frozen=True, slots=True)
class Drift:
    """How readings of one station, one source or all moved against those before.

    `by_itself`: there were too few before, so that limits and centre are of the period itself.
    Greys are of the prepared films, 0 (black) to 255.
    """

    source: str
    station: str
    films: int
    positive: int
    films_before: int
    by_itself: bool
    positives: Chart | None
    grey: Chart | None
    spread: Chart | None
    probabilities: Counts
    probabilities_before: Counts
    probability_shift: Shift | None
    grey_now: float | None
    grey_shift: Shift | None
    spread_shift: Shift | None

    @property
    def rate(self) -> float | None:
        """The share of positive readings."""
        return self.positive / self.films if self.films else None

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95 % interval by Wilson."""
        return wilson(self.positive, self.films)

    @property
    def is_outside(self) -> bool:
        """Whether anything leaves its limits by more than chance, or has shifted by much."""
        charts = (self.positives, self.grey, self.spread)
        shifts = (self.probability_shift, self.grey_shift, self.spread_shift)
        return any(chart is not None and chart.is_beyond_chance for chart in charts) or any(
            each is not None and each.is_large for each in shifts
        )


def bundles(session: Session, period: Period, known: Summed) -> list[tuple[str, int]]:
    """List the bundles that read in a period with how many films, the most first."""
    counts: dict[str, int] = {}
    for row in rows(session, READINGS, period, known, without=tuple(READINGS.histograms)):
        counts[row["bundle"]] = counts.get(row["bundle"], 0) + row["readings"]
    return sorted(counts.items(), key=lambda each: (-each[1], each[0]))


def drifts(
    session: Session, period: Period, known: Summed, *, bundle: str, length: Length
) -> dict[Place, Drift]:
    """Compare a bundle's readings of a period with those before, in steps of `length`.

    The key ("", "") is all of them together, (source, "") all stations of a source.
    """
    before = Period(period.since - timedelta(days=BASELINE_DAYS[length]), period.since)
    now_rows, before_rows = (
        rows(
            session,
            READINGS,
            each,
            known,
            longest=length,
            where={"bundle": bundle},
            without=("wait",),
        )
        for each in (period, before)
    )
    now, earlier = _by_place(now_rows), _by_place(before_rows)
    return {
        place: _drift(place, found, earlier.get(place, []), period, before, length)
        for place, found in sorted(now.items())
    }


def _drift(
    place: Place,
    now: Sequence[Row],
    before: Sequence[Row],
    period: Period,
    baseline: Period,
    length: Length,
) -> Drift:
    films_before = _sum(before, "readings")
    by_itself = films_before < LEAST_BASELINE
    reference, of = (now, period) if by_itself else (before, baseline)
    measured = _sum(reference, "measured")

    def shares(found: Sequence[Row], steps: Iterable[datetime]) -> list[Step]:
        return _steps(found, steps, length, "readings", "positive")

    def means(found: Sequence[Row], steps: Iterable[datetime], name: str) -> list[Step]:
        return _steps(found, steps, length, "measured", name)

    def chart_of(name: str) -> Chart | None:
        scale = deviation(measured, _total(reference, name), _total(reference, f"{name}_squares"))
        return mean_chart(
            means(reference, of.starts(length), name),
            means(now, period.starts(length), name),
            scale,
        )

    def shift_of(name: str, bins: Bins) -> Shift | None:
        if by_itself:
            return None
        return shift(*(bins.unpack(row[name] for row in found) for found in (before, now)))

    return Drift(
        *place,
        films=_sum(now, "readings"),
        positive=_sum(now, "positive"),
        films_before=films_before,
        by_itself=by_itself,
        positives=share_chart(
            shares(reference, of.starts(length)), shares(now, period.starts(length))
        ),
        grey=chart_of("grey_mean"),
        spread=chart_of("grey_spread"),
        probabilities=PROBABILITY.unpack(row["probability"] for row in now),
        probabilities_before=PROBABILITY.unpack(row["probability"] for row in before),
        probability_shift=shift_of("probability", PROBABILITY),
        grey_now=_mean(now, "grey_mean"),
        grey_shift=shift_of("grey_mean_histogram", GREY),
        spread_shift=shift_of("grey_spread_histogram", GREY_SPREAD),
    )


def _steps(
    found: Sequence[Row], starts: Iterable[datetime], length: Length, count: str, name: str
) -> list[Step]:
    """Return the mean of what `name` sums up in each step, of which `count` says how many."""
    by_start: dict[datetime, list[Row]] = {}
    for row in found:
        by_start.setdefault(length.floor(row["start"]), []).append(row)
    steps = []
    for start in starts:
        there = by_start.get(start, [])
        films = _sum(there, count)
        steps.append(Step(start, films, _total(there, name) / films if films else None))
    return steps


def _by_place(found: Iterable[Row]) -> dict[Place, list[Row]]:
    places: dict[Place, list[Row]] = {}
    for row in found:
        source, station = row["source"], row["station"]
        for place in {("", ""), (source, ""), (source, station)}:
            places.setdefault(place, []).append(row)
    return places


def _sum(found: Iterable[Row], name: str) -> int:
    return sum(row[name] for row in found)


def _mean(found: Sequence[Row], name: str) -> float | None:
    measured = _sum(found, "measured")
    return _total(found, name) / measured if measured else None


def _total(found: Iterable[Row], name: str) -> float:
    return float(sum(row[name] for row in found))
