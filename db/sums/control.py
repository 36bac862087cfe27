"""Whether a figure has moved: control charts with 3 sigma limits, and how two histograms differ.

Pure: counts in, limits and verdicts out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import numpy as np

from db.sums.histograms import Counts, coarser

SIGMAS = 3.0
_FAR_SIGMAS = 5.0
"""One step so far out is no chance."""
_CHANCE_OUTSIDE = 0.0027
_UNLIKELY = 0.05
LEAST_EXPECTED = 5.0
"""A share is judged where so many of both kinds are expected: below, it is far from normal."""
LEAST_FILMS = 5
"""A mean of fewer films is not judged."""
LEAST_STEPS = 8
"""Of so many steps, how far they scatter beyond chance is estimated."""
_MOVING_RANGE = 1.128
"""Mean of the range of two values of a normal distribution, in standard deviations (d2)."""

PSI_MODERATE, PSI_LARGE = 0.1, 0.25
"""The usual marks of the population stability index (Siddiqi 2006)."""
PSI_PARTS = 10
_CHI_SQUARE = {
    1: 9.0, 2: 11.83, 3: 14.16, 4: 16.25, 5: 18.21, 6: 20.06, 7: 21.85, 8: 23.57, 9: 25.26
}  # fmt: skip
"""What chi square of so many degrees of freedom exceeds in 0.27 % of all cases, as 3 sigma."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a chart: of `films` films the value is `value`; None where there is none."""

    start: datetime
    films: int
    value: float | None


@dataclass(frozen=True, slots=True)
class Point:
    """A step with its limits; `judged`: it has films enough to be held against them."""

    start: datetime
    films: int
    value: float | None
    low: float
    high: float
    judged: bool
    is_far: bool = False
    """Whether it lies beyond 5 sigma."""

    @property
    def outside(self) -> bool:
        """Whether it lies beyond the limits."""
        return self.judged and self.value is not None and not self.low <= self.value <= self.high


@dataclass(frozen=True, slots=True)
class Chart:
    """A control chart: the centre line, how wide the limits were made, and the points."""

    centre: float
    scatter: float
    points: tuple[Point, ...]

    @property
    def outside(self) -> list[Point]:
        """The points beyond the limits."""
        return [point for point in self.points if point.outside]

    @property
    def is_beyond_chance(self) -> bool:
        """Whether a point lies far out, or more do so than chance makes in one of 20 such charts.

        By chance 0.27 % of the points that are judged lie outside, each for itself.
        """
        outside, judged = self.outside, sum(point.judged for point in self.points)
        fewer = sum(
            math.comb(judged, k) * _CHANCE_OUTSIDE**k * (1 - _CHANCE_OUTSIDE) ** (judged - k)
            for k in range(len(outside))
        )
        return any(point.is_far for point in outside) or (bool(outside) and 1 - fewer < _UNLIKELY)


def share_chart(before: Sequence[Step], steps: Sequence[Step]) -> Chart | None:
    """Judge shares (0 to 1) by those before: a p' chart.

    Limits are centre +- 3 * scatter * sqrt(centre * (1 - centre) / films), within 0 and 1, as of a
    p chart; scatter is how many times more than chance allows the steps before scatter from one to
    the next (Laney 2002), at least 1. None where nothing was before.
    """
    films = sum(step.films for step in before)
    if not films:
        return None
    centre = sum((step.value or 0.0) * step.films for step in before) / films
    deviation = math.sqrt(centre * (1 - centre))
    least = LEAST_EXPECTED / max(min(centre, 1 - centre), 1e-9)
    return _chart(before, steps, centre, deviation, least=least, within=(0.0, 1.0))


def mean_chart(before: Sequence[Step], steps: Sequence[Step], deviation: float) -> Chart | None:
    """Judge means by those before, as `share_chart`; `deviation` is that of single films."""
    films = sum(step.films for step in before)
    if not films:
        return None
    centre = sum((step.value or 0.0) * step.films for step in before) / films
    return _chart(before, steps, centre, deviation, least=LEAST_FILMS, within=(-math.inf, math.inf))


def deviation(count: int, total: float, squares: float) -> float:
    """Return the standard deviation of values by their count, sum and sum of squares."""
    return math.sqrt(max(0.0, squares / count - (total / count) ** 2)) if count else 0.0


def wilson(positive: int, films: int, z: float = 1.96) -> tuple[float, float]:
    """Return the interval (95 % where z is 1.96) of a share by Wilson (1927)."""
    if not films:
        return 0.0, 1.0
    share, square = positive / films, z * z
    middle = (share + square / (2 * films)) / (1 + square / films)
    half = (
        z
        / (1 + square / films)
        * math.sqrt(share * (1 - share) / films + square / (4 * films * films))
    )
    return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True, slots=True)
class Shift:
    """How a histogram differs from the one before: PSI, and what chance alone may make of it."""

    psi: float
    chance: float

    @property
    def is_large(self) -> bool:
        """Whether it differs by much, and by more than chance."""
        return self.psi >= PSI_LARGE and self.psi > self.chance

    @property
    def is_moderate(self) -> bool:
        """Whether it differs notably, and by more than chance."""
        return self.psi >= PSI_MODERATE and self.psi > self.chance


def shift(before: Counts, now: Counts) -> Shift | None:
    """Return the population stability index of two histograms with the same bins.

    The bins are joined to at most ten that hold about a tenth of `before` each; half a film is
    added to each, so that none is empty. Where nothing has changed, PSI is about chi square with a
    degree of freedom less than there are bins, times 1/n + 1/m (Yurdakul 2018): `chance` is
    exceeded in 0.27 % of all cases. None where one of the two is empty.
    """
    n, m = int(before.sum()), int(now.sum())
    if not n or not m:
        return None
    inner = _tenths(before)
    if not inner:
        return Shift(0.0, 0.0)
    old, new = coarser(before, inner) + 0.5, coarser(now, inner) + 0.5
    p, q = old / old.sum(), new / new.sum()
    psi = float(((q - p) * np.log(q / p)).sum())
    return Shift(psi, _CHI_SQUARE[len(inner)] * (1 / n + 1 / m))


def _tenths(counts: Counts) -> list[int]:
    """Return where to part bins so that each part holds about a tenth; no part is empty."""
    cumulated = np.cumsum(counts)
    targets = [cumulated[-1] * part / PSI_PARTS for part in range(1, PSI_PARTS)]
    cuts = {int(np.searchsorted(cumulated, target)) + 1 for target in targets}
    return [cut for cut in sorted(cuts) if 0 < cumulated[cut - 1] < cumulated[-1]]


def _chart(
    before: Sequence[Step],
    steps: Sequence[Step],
    centre: float,
    deviation: float,
    *,
    least: float,
    within: tuple[float, float],
) -> Chart:
    scatter = _scatter(before, centre, deviation, least)
    points = []
    for step in steps:
        sigma = scatter * deviation / math.sqrt(step.films) if step.films else math.inf
        low = max(within[0], centre - SIGMAS * sigma)
        high = min(within[1], centre + SIGMAS * sigma)
        is_far = step.value is not None and abs(step.value - centre) > _FAR_SIGMAS * sigma
        judged = step.films >= least
        points.append(Point(step.start, step.films, step.value, low, high, judged, is_far))
    return Chart(centre, scatter, tuple(points))


def _scatter(before: Sequence[Step], centre: float, deviation: float, least: float) -> float:
    """Return by how many times more than chance steps scatter from one to the next, at least 1."""
    scores = [
        (step.value - centre) / (deviation / math.sqrt(step.films))
        for step in before
        if step.value is not None and step.films >= least and deviation
    ]
    if len(scores) < LEAST_STEPS:
        return 1.0
    ranges = [abs(second - first) for first, second in pairwise(scores)]
    return max(1.0, sum(ranges) / len(ranges) / _MOVING_RANGE)
