"""A chart's geometry: from values to places in a picture of fixed size. No markup, no colours."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

WIDTH, HEIGHT = 640, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 10, 10, 24
_MOST_X_LABELS = 8
_Y_STEPS = 4


@dataclass(frozen=True, slots=True)
class Tick:
    """A label at a place along an axis."""

    place: float
    label: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar from the ground up; `note` is what it stands for, in words."""

    x: float
    y: float
    width: float
    height: float
    note: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line through points; `kind` is what the style sheet knows it by."""

    kind: str
    points: str


@dataclass(frozen=True, slots=True)
class Dot:
    """A point with words; `kind` is inside, outside or open (not judged)."""

    kind: str
    x: float
    y: float
    note: str


@dataclass(frozen=True, slots=True)
class Plot:
    """Everything that a chart shows, with the sentence that says the same in words."""

    title: str
    description: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    bars: tuple[Bar, ...] = ()
    areas: tuple[Line, ...] = ()
    lines: tuple[Line, ...] = ()
    dots: tuple[Dot, ...] = ()
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT
    right: int = WIDTH - _RIGHT
    ground: int = HEIGHT - _BOTTOM


@dataclass(frozen=True, slots=True)
class Axes:
    """`count` steps side by side, and values from `low` to `high`; `label` writes a value."""

    count: int
    low: float
    high: float
    label: Callable[[float], str] = field(default=lambda value: f"{value:g}")

    @classmethod
    def over(
        cls,
        count: int,
        values: Sequence[float],
        *,
        from_zero: bool = True,
        label: Callable[[float], str] = lambda value: f"{value:g}",
    ) -> Axes:
        """Choose round ends that all values lie between."""
        low = 0.0 if from_zero else min(values, default=0.0)
        high = max(values, default=1.0)
        if high <= low:
            high = low + 1
        step = _round_step((high - low) / _Y_STEPS)
        return cls(count, math.floor(low / step) * step, math.ceil(high / step) * step, label)

    def x(self, place: float) -> float:
        """Return where the middle of a step lies; 0 is the first."""
        return _LEFT + (place + 0.5) * self.step_width

    def y(self, value: float) -> float:
        """Return how high a value lies; what is beyond the ends lies at them."""
        share = (value - self.low) / (self.high - self.low)
        return HEIGHT - _BOTTOM - min(1.0, max(0.0, share)) * (HEIGHT - _BOTTOM - _TOP)

    @property
    def step_width(self) -> float:
        """How wide a step is."""
        return (WIDTH - _LEFT - _RIGHT) / max(1, self.count)

    def y_ticks(self) -> tuple[Tick, ...]:
        """Return round values with their places."""
        step = _round_step((self.high - self.low) / _Y_STEPS)
        values = [self.low + number * step for number in range(_Y_STEPS * 2 + 1)]
        inside = [value for value in values if value <= self.high + step / 1000]
        return tuple(Tick(self.y(value), self.label(value)) for value in inside)

    def x_ticks(self, labels: Sequence[str]) -> tuple[Tick, ...]:
        """Return as many labels of steps as there is room for, evenly."""
        every = max(1, math.ceil(len(labels) / _MOST_X_LABELS))
        return tuple(
            Tick(self.x(place), label) for place, label in enumerate(labels) if place % every == 0
        )

    def bars(self, values: Sequence[float], notes: Sequence[str]) -> tuple[Bar, ...]:
        """Return a bar for every value."""
        width, ground = max(0.5, self.step_width * 0.82), self.y(self.low)
        return tuple(
            Bar(self.x(place) - width / 2, self.y(value), width, ground - self.y(value), note)
            for place, (value, note) in enumerate(zip(values, notes, strict=True))
        )

    def lines(self, kind: str, values: Sequence[float | None]) -> tuple[Line, ...]:
        """Return a line through the values; where one is missing, it ends and begins anew."""
        runs: list[list[str]] = [[]]
        for place, value in enumerate(values):
            if value is None:
                runs.append([])
            else:
                runs[-1].append(f"{self.x(place):.1f},{self.y(value):.1f}")
        # A single point is drawn as a short stroke: a line of one point is none.
        return tuple(Line(kind, " ".join(run * 2 if len(run) == 1 else run)) for run in runs if run)

    def steps(self, kind: str, values: Sequence[float]) -> tuple[Line, ...]:
        """Return a line that stays level within each step, as limits do."""
        half = self.step_width / 2
        points = [
            f"{self.x(place) + side * half:.1f},{self.y(value):.1f}"
            for place, value in enumerate(values)
            for side in (-1, 1)
        ]
        return (Line(kind, " ".join(points)),) if points else ()


def _round_step(least: float) -> float:
    """Return 1, 2 or 5 times a power of ten that is not below `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * each for each in (1, 2, 5, 10) if power * each >= least * (1 - 1e-9))
