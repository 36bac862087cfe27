"""Pair plots of the boxes and of the films."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from training.kaggle import style
from training.kaggle.style import TARGET_COLOURS, TARGET_NAMES, Drawing
from training.kaggle.survey import Floats, Survey

SAMPLE = 2_000
"""Points in one panel of a pair plot."""

_SEED = 0
Columns = Mapping[str, Floats]


def pair_plots(survey: Survey) -> list[Drawing]:
    """Pair plot of the boxes by view, and of the films by target where pixels were read."""
    boxes, films = survey.boxes, survey.films
    drawings = []
    if len(boxes) > 2:
        view = films.view[boxes.film]
        groups = {name: view == name for name in ("PA", "AP")}
        figure = _pairs(box_columns(survey), groups, (style.BLUE, style.ORANGE))
        caption = f"n = {len(boxes):,} boxes, at most {SAMPLE:,} drawn; age is the film's."
        drawings.append(Drawing("pairs_boxes", "Pair plot of the boxes", caption, figure))
    if survey.has_pixels:
        columns = {
            "age, y": np.where(films.age <= 100, films.age, np.nan),
            "spacing, mm": films.spacing,
            "mean grey": films.mean,
            "std of grey": films.std,
        }
        targets = {name: films.target == target for target, name in enumerate(TARGET_NAMES)}
        figure = _pairs(columns, targets, (style.BLUE, TARGET_COLOURS[1]))
        caption = f"n = {len(films):,} films, at most {SAMPLE:,} drawn; ages above 100 left out."
        drawings.append(Drawing("pairs_films", "Pair plot of the films", caption, figure))
    return drawings


def box_columns(survey: Survey) -> Columns:
    """The boxes' numeric columns, by name with unit; ages above 100 are left out."""
    boxes = survey.boxes
    age = survey.films.age[boxes.film]
    return {
        "x, px": boxes.x,
        "y, px": boxes.y,
        "width, px": boxes.width,
        "height, px": boxes.height,
        "age, y": np.where(age <= 100, age, np.nan),
    }


def _pairs(
    columns: Columns, groups: Mapping[str, NDArray[np.bool_]], colours: Sequence[str]
) -> bytes:
    names = list(columns)
    count = len(names)
    figure, axes = style.panels(count, count, (1.75, 1.6))
    rng = np.random.default_rng(_SEED)
    # In a drawn order, so that no group hides the other.
    drawn = rng.permutation(np.flatnonzero(np.any(list(groups.values()), axis=0)))[:SAMPLE]
    paint = np.full(len(columns[names[0]]), colours[0])
    for chosen, colour in zip(groups.values(), colours, strict=True):
        paint[chosen] = colour
    paint = paint[drawn]
    size = float(np.clip(6_000 / max(len(drawn), 1), 3, 12))
    for at, panel in enumerate(axes):
        row, column = divmod(at, count)
        across, up = columns[names[column]], columns[names[row]]
        if row == column:
            _histograms(panel, across, groups, colours)
        else:
            panel.scatter(across[drawn], up[drawn], s=size, c=paint, alpha=0.45, linewidth=0)
        panel.tick_params(length=0, labelsize=7)
        panel.locator_params(nbins=4)
        if row == column:
            panel.set_yticks([])
        if row == count - 1:
            panel.set_xlabel(names[column])
        else:
            panel.set_xticklabels([])
        if column == 0:
            panel.set_ylabel(names[row])
        elif row != column:
            panel.set_yticklabels([])
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=len(labels))
    return style.png(figure, 100)


def _histograms(
    axes: Axes, values: Floats, groups: Mapping[str, NDArray[np.bool_]], colours: Sequence[str]
) -> None:
    known = np.isfinite(values)
    edges = np.histogram_bin_edges(values[known], 24)
    for (name, chosen), colour in zip(groups.items(), colours, strict=True):
        axes.hist(
            values[chosen & known],
            bins=[float(edge) for edge in edges],
            density=bool((chosen & known).any()),
            color=colour,
            alpha=0.55,
            label=name,
        )
