"""Figures of how many: the pies, and the bars of sex, age and view against class and target."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from training.kaggle import measures, style
from training.kaggle.style import (
    CLASS_COLOURS,
    CLASS_NAMES,
    INK,
    MUTED,
    TARGET_COLOURS,
    TARGET_NAMES,
    Drawing,
)
from training.kaggle.survey import Indices, Survey
from training.tables import LUNG_OPACITY

FEW = 10
"""Fewer films than this say nothing of a share."""


def pies(survey: Survey) -> list[Drawing]:
    """Class, target, sex and view: by film, and by row of the label file as the report counted."""
    films = survey.films
    sexes, views = _groups(films.sex, ("M", "F")), _groups(films.view, ("PA", "AP"))
    columns: list[tuple[str, Sequence[str], Sequence[str], Indices]] = [
        ("Class", CLASS_NAMES, CLASS_COLOURS, films.label),
        ("Target", TARGET_NAMES, TARGET_COLOURS, films.target),
        ("Sex", style.named(sexes[0]), style.GROUP_COLOURS, sexes[1]),
        ("View position", views[0], style.GROUP_COLOURS, views[1]),
    ]
    figure, axes = style.panels(2, 4, (2.75, 2.75))
    for column, (title, names, colours, index) in enumerate(columns):
        for row, weights in enumerate((None, films.rows)):
            counts = np.bincount(index, weights=weights, minlength=len(names)).astype(np.intp)
            _pie(axes[4 * row + column], counts, names, colours, "films" if row == 0 else "rows")
        axes[column].set_title(title, loc="center")
    shares = films.target.mean(), (films.target * films.rows).sum() / films.rows.sum()
    caption = (
        f"Above: by film (n = {len(films):,}). Below: by row of the label file, as the report"
        f" counted (n = {int(films.rows.sum()):,}). A positive film has a row per box, so rows show"
        f" {style.percent(shares[1])} positive where {style.percent(shares[0])} of the films are."
    )
    return [Drawing("pies", "Class, target, sex and view", caption, style.png(figure))]


def class_against_target(survey: Survey) -> list[Drawing]:
    """Class against target, by film and by row."""
    films = survey.films
    figure, axes = style.panels(1, 2, (4.6, 3.0))
    for panel, (weights, unit) in zip(axes, ((None, "films"), (films.rows, "rows")), strict=True):
        counts = [
            np.bincount(
                films.label[films.target == target],
                weights=None if weights is None else weights[films.target == target],
                minlength=3,
            ).astype(np.intp)
            for target in (0, 1)
        ]
        for target, (name, colour) in enumerate(zip(TARGET_NAMES, TARGET_COLOURS, strict=True)):
            bars = panel.bar(
                range(3), counts[target], 0.6, bottom=counts[0] * target, color=colour, label=name
            )
            panel.bar_label(bars, [f"{n:,}" if n else "" for n in counts[target]], fontsize=8)
        panel.set_ylim(0, np.sum(counts, axis=0).max() * 1.15)
        style.thousands(panel.yaxis)
        style.light_grid(panel)
        panel.set_title(f"By {unit[:-1]} (n = {sum(int(c.sum()) for c in counts):,})")
        panel.set_ylabel(unit)
        panel.set_xticks(range(3), ["Normal", "Not normal,\nno opacity", "Lung opacity"])
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=2)
    differ = int(((films.label == LUNG_OPACITY) != (films.target == 1)).sum())
    caption = (
        f"Target 1 and the class Lung Opacity disagree on {differ:,} films: what the class adds is"
        " the division of the negatives."
    )
    return [Drawing("class_target", "Class against target", caption, style.png(figure))]


def groups(survey: Survey) -> list[Drawing]:
    """Sex, age bin and view, each against class and target, with the share that is positive."""
    films = survey.films
    return [
        _group(survey, "sex", "Sex", films.sex, ("M", "F")),
        _group(
            survey,
            "age",
            "Age, in the report's bins of years",
            measures.age_bin(films.age),
            measures.AGE_BINS,
        ),
        _group(survey, "view", "View position", films.view, ("PA", "AP")),
    ]


def _group(
    survey: Survey, id_: str, title: str, of: NDArray[np.str_], order: Sequence[str]
) -> Drawing:
    films = survey.films
    of = np.where(of == "", measures.UNKNOWN, of)
    names = measures.group_names(of, order)
    figure, axes = style.panels(1, 3, (4.6 if len(names) > 3 else 3.3, 3.2))
    labels, targets = (
        measures.cross(of, names, films.label, 3),
        measures.cross(of, names, films.target, 2),
    )
    _grouped(axes[0], labels, names, CLASS_NAMES, CLASS_COLOURS)
    axes[0].set_title("Against class")
    _grouped(axes[1], targets, names, TARGET_NAMES, TARGET_COLOURS)
    axes[1].set_title("Against target")
    for panel in axes[:2]:
        panel.set_ylabel("films")
        panel.set_ylim(0, panel.get_ylim()[1] * 1.2)
        panel.legend(
            loc="upper right" if len(names) > 3 else "upper center",
            ncols=1 if len(names) > 3 else 2,
            handlelength=0.9,
            handletextpad=0.4,
            columnspacing=1.0,
            borderaxespad=0.0,
        )
    _shares(axes[2], survey, of, names)
    for panel in axes:
        ticks = [f"{n}\nn={k:,}" for n, k in zip(style.named(names), labels.sum(1), strict=True)]
        panel.set_xticks(range(len(names)), ticks, fontsize=7 if len(names) > 3 else 8.5)
    caption = (
        f"n = {len(films):,} films. Right: share of positive films with 95 % intervals, the dashed"
        f" line is all films. Association with the class, Cramér's V (0 none, 1 full):"
        f" {measures.cramers_v(labels):.2f}."
    )
    return Drawing(id_, title, caption, style.png(figure))


def _shares(axes: Axes, survey: Survey, of: NDArray[np.str_], names: Sequence[str]) -> None:
    films = survey.films
    for at, name in enumerate(names):
        share = measures.positive_share(films, of == name)
        if share.of < FEW:
            axes.text(at, 102 * films.target.mean(), "too few", ha="center", fontsize=7)
            continue
        low, high = share.interval
        axes.plot([at, at], [100 * low, 100 * high], color=TARGET_COLOURS[1], linewidth=2)
        axes.plot(at, 100 * share.value, "o", color=TARGET_COLOURS[1], markersize=6)
        axes.annotate(
            f"{100 * share.value:.1f}",
            (at, 100 * share.value),
            xytext=(7, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    axes.axhline(100 * films.target.mean(), color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    axes.set_title("Share positive")
    axes.set_ylabel("% of the group's films")
    axes.set_ylim(0, min(100, axes.get_ylim()[1] * 1.1))
    axes.set_xlim(-0.5, len(names) - 0.35)
    style.light_grid(axes)


def _groups(of: NDArray[np.str_], order: Sequence[str]) -> tuple[list[str], Indices]:
    of = np.where(of == "", measures.UNKNOWN, of)
    names = measures.group_names(of, order)
    return names, np.array([names.index(str(each)) for each in of])


def _pie(
    axes: Axes, counts: Indices, names: Sequence[str], colours: Sequence[str], unit: str
) -> None:
    total = int(counts.sum())
    axes.pie(
        counts,
        colors=list(colours[: len(names)]),
        startangle=90,
        counterclock=False,
        radius=1.05,
        wedgeprops={"width": 0.42, "edgecolor": "white", "linewidth": 1.5},
    )
    axes.text(0, 0.08, f"{total:,}", ha="center", va="center", fontsize=10, weight="bold")
    axes.text(0, -0.16, unit, ha="center", va="center", fontsize=8, color=MUTED)
    lines = [
        f"{name}  {count:,} · {style.percent(count / total)}"
        for name, count in zip(names, counts, strict=True)
    ]
    handles = [
        axes.scatter([], [], marker="s", s=36, color=colour) for colour in colours[: len(names)]
    ]
    axes.legend(
        handles,
        lines,
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
        fontsize=7.5,
        handletextpad=0.2,
        labelspacing=0.3,
    )


def _grouped(
    axes: Axes,
    counts: Indices,
    groups_: Sequence[str],
    kinds: Sequence[str],
    colours: Sequence[str],
) -> None:
    """Draw bars of counts (groups x kinds), each with its number."""
    width = 0.86 / len(kinds)
    size = 7.5 if len(groups_) * len(kinds) <= 12 else 6
    for kind, (name, colour) in enumerate(zip(kinds, colours, strict=True)):
        at = np.arange(len(groups_)) + (kind - (len(kinds) - 1) / 2) * width
        axes.bar(at, counts[:, kind], width * 0.92, color=colour, label=name)
        for x, count in zip(at, counts[:, kind], strict=True):
            axes.annotate(
                f"{count:,}",
                (x, count),
                xytext=(0, 2),
                textcoords="offset points",
                ha="center",
                fontsize=size,
                color=INK,
            )
    axes.margins(y=0.12)
    style.thousands(axes.yaxis)
    style.light_grid(axes)
