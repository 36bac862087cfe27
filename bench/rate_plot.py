"""The figure of `bench.rate`: what receivers take and how late they answer, against what comes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import NullLocator

from training.results.plots import GRID, INK, MUTED

COLOURS = ("#1f6f8b", "#6fb7c9", "#d1803c", "#8c5fa8", "#4f8f4f", "#b9a03c")
"""Of the receivers in turn; after the last the first comes again."""

Points = Mapping[float, Mapping[str, float | None]]
"""Figures by offered rate; None: not every film that the figure needs was answered."""


def draw(found: Mapping[str, Points], rates: Sequence[float]) -> Figure:
    """Draw achieved rate and 99th percentile of the latency, by offered rate and receiver."""
    figure = Figure(figsize=(9.2, 3.9), layout=ConstrainedLayoutEngine())
    achieved, late = figure.subplots(1, 2)
    ends = [min(rates), max(rates)]
    achieved.plot(ends, ends, color=MUTED, linewidth=1, linestyle=(0, (3, 3)), label="as offered")
    for number, (name, points) in enumerate(found.items()):
        colour = COLOURS[number % len(COLOURS)]
        for axes, key, label in ((achieved, "achieved", name), (late, "p99", None)):
            line = [(rate, value) for rate, each in points.items() if (value := each[key])]
            axes.plot(
                [rate for rate, _ in line], [value for _, value in line],
                color=colour, linewidth=1.8, marker="o", markersize=3.5, label=label,
            )  # fmt: skip
    late.set_yscale("log")
    late.yaxis.set_major_formatter("{x:g}")
    late.yaxis.set_minor_locator(NullLocator())
    _frame(achieved, "taken", "films a second")
    _frame(late, "99th percentile of the latency (none: never)", "ms from when a film was due")
    figure.legend(
        loc="outside lower center", ncols=4, frameon=False, fontsize=8, labelcolor=INK,
        handlelength=1.4,
    )  # fmt: skip
    return figure


def _frame(axes: Axes, title: str, unit: str) -> None:
    axes.set_title(title, loc="left", fontsize=9.5, color=INK, fontweight="bold", pad=8)
    axes.set_xlabel("films offered a second", fontsize=8, color=MUTED)
    axes.set_ylabel(unit, fontsize=8, color=MUTED)
    axes.tick_params(labelsize=8, colors=MUTED, labelcolor=INK, length=0)
    axes.set_xlim(left=0)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)
