"""The charts of the monitoring pages, each with its description in words."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import numpy as np

from console.charts.plot import Axes, Dot, Plot
from console.pages.words import count, duration, percent
from db.sums.control import Chart, Point
from db.sums.flow import Flow
from db.sums.histograms import Counts, coarser
from db.sums.periods import Length

Label = Callable[[float], str]

_BINS = 20
"""Probabilities are shown in steps of 5 %."""


def step_label(start: datetime, length: Length) -> str:
    """Name a step: an hour, a day, or a week by its Monday (UTC)."""
    return f"{start:%H:%M}" if length is Length.HOUR else f"{start.day} {start:%b}"


def step_name(start: datetime, length: Length) -> str:
    """Name a step so that it is found among all others."""
    if length is Length.HOUR:
        return f"{start:%Y-%m-%d %H:%M}"
    return f"{start:%Y-%m-%d}" if length is Length.DAY else f"week of {start:%Y-%m-%d}"


def films_plot(flow: Flow) -> Plot:
    """Draw how many films came in each step."""
    received = [step.received for step in flow.steps]
    axes = Axes.over(len(received), [*received, 1], label=lambda value: count(round(value)))
    notes = [
        f"{step_name(step.start, flow.length)}: {count(step.received)} films" for step in flow.steps
    ]
    busiest = flow.busiest
    most = (
        ""
        if busiest is None or not busiest.received
        else f" Most in one {flow.length.value}: {count(busiest.received)},"
        f" {step_name(busiest.start, flow.length)} UTC."
    )
    return Plot(
        f"Films received, by {flow.length.value}",
        f"{count(flow.received)} films in {len(received)} {flow.length.value}s.{most}",
        axes.x_ticks([step_label(step.start, flow.length) for step in flow.steps]),
        axes.y_ticks(),
        bars=axes.bars(received, notes),
    )


def latency_plot(flow: Flow) -> Plot:
    """Draw the latency of results in each step: its median and 95th percentile."""
    medians = [step.latency.median for step in flow.steps]
    high = [step.latency.p95 for step in flow.steps]
    axes = Axes.over(
        len(medians),
        [value for value in (*medians, *high) if value is not None] or [1.0],
        label=duration,
    )
    return Plot(
        f"From last film to delivered, by {flow.length.value}",
        f"Median {duration(flow.latency.median)}, 95 % within {duration(flow.latency.p95)},"
        f" 99 % within {duration(flow.latency.p99)}.",
        axes.x_ticks([step_label(step.start, flow.length) for step in flow.steps]),
        axes.y_ticks(),
        lines=(*axes.lines("second", high), *axes.lines("first", medians)),
        dots=tuple(
            Dot(
                "hover",
                axes.x(place),
                axes.y(step.latency.median),
                f"{step_name(step.start, flow.length)}: median {duration(step.latency.median)},"
                f" 95 % within {duration(step.latency.p95)}, {count(step.latency.count)} objects",
            )
            for place, step in enumerate(flow.steps)
            if step.latency.median is not None
        ),
    )


def share_plot(title: str, chart: Chart, length: Length) -> Plot:
    """Draw a control chart of shares."""
    return _control_plot(title, chart, length, _share, from_zero=True)


def grey_plot(title: str, chart: Chart, length: Length) -> Plot:
    """Draw a control chart of greys, 0 to 255."""
    return _control_plot(title, chart, length, _number, from_zero=False)


def probability_plot(now: Counts, before: Counts) -> Plot:
    """Draw how probabilities are distributed, beside how they were before, in steps of 5 %."""
    inner = [50 * part for part in range(1, _BINS)]
    shares = [_shares(coarser(counts, inner)) for counts in (now, before)]
    axes = Axes.over(_BINS, [value for each in shares for value in each], label=_share)
    labels = [f"{5 * part}–{5 * part + 5} %" for part in range(_BINS)]
    notes = [
        f"{label}: {percent(share)} of the films, before {percent(old)}"
        for label, share, old in zip(labels, *shares, strict=True)
    ]
    return Plot(
        "Calibrated probability of pneumonia",
        f"{count(int(now.sum()))} films in steps of 5 %, beside {count(int(before.sum()))} before.",
        axes.x_ticks([f"{5 * part} %" for part in range(_BINS)]),
        axes.y_ticks(),
        bars=axes.bars(shares[0], notes),
        lines=axes.steps("before", shares[1]) if before.sum() else (),
    )


def _control_plot(
    title: str, chart: Chart, length: Length, label: Label, *, from_zero: bool
) -> Plot:
    points = chart.points
    limits = [point for point in points if point.films]
    values = [point.value for point in points if point.value is not None]
    bounds = [each for point in limits if point.judged for each in (point.low, point.high)]
    axes = Axes.over(
        len(points), [*values, *bounds, chart.centre], from_zero=from_zero, label=label
    )
    outside = chart.outside
    said = f"{len(outside)} of {len(points)} {length.value}s outside" if outside else "none outside"
    return Plot(
        title,
        f"Centre {label(chart.centre)}, limits of 3 sigma for each {length.value}; {said}.",
        axes.x_ticks([step_label(point.start, length) for point in points]),
        axes.y_ticks(),
        lines=(
            *axes.steps("limit", [_bound(point.high, axes.high) for point in points]),
            *axes.steps("limit", [_bound(point.low, axes.low) for point in points]),
            *axes.steps("centre", [chart.centre] * len(points)),
            *axes.lines("first", [point.value for point in points]),
        ),
        dots=tuple(
            Dot(_kind(point), axes.x(place), axes.y(point.value), _note(point, length, label))
            for place, point in enumerate(points)
            if point.value is not None
        ),
    )


def _kind(point: Point) -> str:
    return "outside" if point.outside else "inside" if point.judged else "open"


def _note(point: Point, length: Length, label: Label) -> str:
    assert point.value is not None
    judged = "" if point.judged else "; too few films to judge"
    return (
        f"{step_name(point.start, length)}: {label(point.value)} in {count(point.films)} films,"
        f" limits {label(point.low)} to {label(point.high)}{judged}"
    )


def _bound(limit: float, end: float) -> float:
    return limit if np.isfinite(limit) else end


def _shares(counts: Counts) -> list[float]:
    total = int(counts.sum())
    return [int(each) / total if total else 0.0 for each in counts]


def _share(value: float) -> str:
    return f"{100 * value:.3g}\u202f%"


def _number(value: float) -> str:
    return f"{value:.4g}"
