"""Figures over a period: how the work flows, whether readings have moved, other thresholds."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from console.shapes.base import Asked, Moment, Said, Text, When


class PeriodAsked(Asked):
    """Of which period; it is widened to full hours (UTC)."""

    since: When | None = Field(None, description="By default seven days before `until`.")
    until: When | None = Field(None, description="By default now.")


class FlowAsked(PeriodAsked):
    """How which work flowed."""

    source: Text | None = Field(
        None, min_length=1, max_length=16, description="Films of this AE title alone."
    )


class BundleOfPeriodAsked(PeriodAsked):
    """What which bundle said."""

    bundle: Text | None = Field(
        None, min_length=1, max_length=128, description="By default the one that read the most."
    )


class ThresholdAsked(PeriodAsked):
    """What which threshold would have changed."""

    threshold: float = Field(ge=0, le=1, allow_inf_nan=False, examples=[0.5])
    bundle: Text | None = Field(
        None, min_length=1, max_length=128, description="Only studies reported by this one."
    )


class Times(Said):
    """Median, and what 95 and 99 of 100 do not exceed, in seconds; right to 1 %."""

    count: int
    median: float | None = Field(examples=[12.0])
    p95: float | None
    p99: float | None


class FlowStep(Said):
    """One hour, day or week."""

    start: Moment
    received: int
    refused: int
    quarantined: int
    wait: Times
    latency: Times


class ToDestination(Said):
    """What one destination got."""

    destination: str
    sent: int
    rejected: int
    latency: Times


class FromStation(Said):
    """What one station of one source sent."""

    source: str
    station: str
    received: int
    refused: int
    quarantined: int


class Flow(Said):
    """How the work of a period flowed.

    `wait` is from a film's arrival to its reading; `latency` from the arrival of a report's last
    film to the first acknowledgement of an object by its destination.
    """

    length: Literal["hour", "day", "week"] = Field(description="Of a step.")
    steps: list[FlowStep]
    received: int
    bytes: int
    refused: int
    quarantined: int
    films_per_hour: float
    wait: Times
    latency: Times
    destinations: list[ToDestination]
    stations: list[FromStation]


class Shift(Said):
    """How a distribution differs from the one before: the population stability index."""

    psi: float
    chance: float = Field(description="What chance alone may make of it.")
    is_large: bool


class Drift(Said):
    """How readings moved against those before: of all ("", ""), a source, or a station of one."""

    source: str
    station: str
    films: int
    positive: int
    films_before: int
    rate: float | None = Field(description="The share of positive readings.")
    interval: tuple[float, float] = Field(description="Its 95 % interval (Wilson).")
    is_outside: bool = Field(
        description="Whether anything leaves its limits by more than chance, or has shifted."
    )
    probability_shift: Shift | None
    grey_shift: Shift | None
    spread_shift: Shift | None


class ShadowAgreement(Said):
    """How a bundle in shadow agreed with the active one, each at its own operating point."""

    active: str
    shadow: str
    films: int
    both_positive: int
    active_only: int
    shadow_only: int
    both_negative: int
    agreement: float | None
    kappa: float | None
    mean_difference: float | None = Field(description="Of probabilities, shadow less active.")
    mean_absolute_difference: float | None
    not_read: int


class WhatIf(Said):
    """What another threshold would have changed of the studies of a source ("": of all)."""

    source: str
    studies: int = Field(description="With a probability.")
    positive: int = Field(description="That were found to have an opacity.")
    gained: int = Field(description="That would have had one besides.")
    lost: int = Field(description="That would have had none.")
    then_positive: int
