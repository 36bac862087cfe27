"""Figures of where the opacities lie, how large they are, and of films with their boxes drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from inference.pixels import letterbox
from inference.prepare import load_display
from inference.reading import RefusedError
from training.cache import MAX_PIXELS
from training.kaggle import measures, style
from training.kaggle.description import read_jpeg
from training.kaggle.problem import FILM_PIXELS
from training.kaggle.style import CLASS_COLOURS, CLASS_NAMES, INK, MUTED, Drawing
from training.kaggle.survey import Survey
from training.tables import LUNG_OPACITY

SAMPLE_FILMS = 2_000
"""Positive films whose boxes are drawn, as in the report."""

_SEED = 0
_SHOWN_SIDE = 384


def box_centres(survey: Survey) -> list[Drawing]:
    """Centres and outlines of the boxes of 2,000 positive films over the film."""
    boxes = survey.boxes
    positive = np.unique(boxes.film)
    if not len(positive):
        return []
    sample = np.random.default_rng(_SEED).permutation(positive)[:SAMPLE_FILMS]
    chosen = np.isin(boxes.film, sample)
    x, y = boxes.x[chosen], boxes.y[chosen]
    width, height = boxes.width[chosen], boxes.height[chosen]
    figure, axes = style.panels(1, 2, (4.5, 4.5))
    outlines = [Rectangle((a, b), w, h) for a, b, w, h in zip(x, y, width, height, strict=True)]
    strength = float(np.clip(100 / len(outlines), 0.035, 0.8))
    axes[1].add_collection(
        PatchCollection(outlines, facecolor="none", edgecolor=(0.12, 0.44, 0.55, strength))
    )
    axes[0].scatter(
        x + width / 2,
        y + height / 2,
        s=float(np.clip(20_000 / len(outlines), 5, 24)),
        color=CLASS_COLOURS[LUNG_OPACITY],
        alpha=0.35,
        linewidth=0,
    )
    for panel, title in zip(axes, ("Centres", "Outlines"), strict=True):
        _as_film(panel)
        panel.set_title(title)
    left = float((x + width / 2 < FILM_PIXELS / 2).mean())
    caption = (
        f"{len(outlines):,} boxes of {len(sample):,} positive films drawn by chance;"
        f" {style.percent(left)} of the centres lie in the film's left half, the patient's right."
    )
    return [Drawing("box_centres", "Where the opacities lie", caption, style.png(figure))]


def box_map(survey: Survey) -> list[Drawing]:
    """Heat map: the share of positive films with a box over each place, by view."""
    boxes = survey.boxes
    if not len(boxes):
        return []
    views = [view for view in ("PA", "AP") if (survey.films.view[boxes.film] == view).any()]
    groups: list[tuple[str, NDArray[np.bool_]]] = [("All", np.ones(len(boxes), bool))]
    groups += [(view, survey.films.view[boxes.film] == view) for view in views]
    maps = [_coverage(survey, chosen) for _, chosen in groups]
    top = max(float(each.max()) for each in maps)
    figure, axes = style.panels(1, len(groups), (3.6, 3.7))
    for panel, (name, chosen), share in zip(axes, groups, maps, strict=True):
        picture = panel.imshow(
            100 * share, cmap="YlOrBr", vmin=0, vmax=100 * top, extent=(0, 1024, 1024, 0)
        )
        _as_film(panel)
        panel.grid(False)
        panel.set_title(f"{name}: {len(np.unique(boxes.film[chosen])):,} films")
    bar = figure.colorbar(picture, ax=axes, shrink=0.8, pad=0.02)
    bar.set_label("% of positive films with a box there")
    bar.outline.set_visible(False)
    caption = "Heat map of the boxes over the film, in pixels of its 1024 × 1024."
    return [Drawing("box_map", "Heat map of the boxes", caption, style.png(figure))]


def box_sizes(survey: Survey) -> list[Drawing]:
    """Boxes per film, and their width against their height."""
    boxes, counts = survey.boxes, measures.boxes_per_film(survey)
    if not len(boxes):
        return []
    figure, axes = style.panels(1, 3, (3.5, 3.3))
    numbers = np.bincount(counts[counts > 0])[1:]
    bars = axes[0].bar(range(1, len(numbers) + 1), numbers, 0.65, color=style.BLUE)
    axes[0].bar_label(bars, [f"{n:,}" for n in numbers], fontsize=8)
    axes[0].set_xticks(range(1, len(numbers) + 1))
    axes[0].set(xlabel="boxes", ylabel="positive films", title="Boxes per positive film")
    axes[0].margins(y=0.1)
    style.thousands(axes[0].yaxis)
    style.light_grid(axes[0])
    _sizes(axes[1], survey)
    axes[1].set(xlabel="width, px", ylabel="height, px", title="Size")
    style.light_grid(axes[1], "both")
    share = 100 * boxes.area / FILM_PIXELS**2
    axes[2].hist(
        share,
        bins=40 if len(boxes) > 1_000 else 15,
        color=style.BLUE,
        edgecolor="white",
        linewidth=0.4,
    )
    axes[2].set(xlabel="% of the film's area", ylabel="boxes", title="Area")
    style.thousands(axes[2].yaxis)
    style.light_grid(axes[2])
    several = float((counts[counts > 0] > 1).mean())
    caption = (
        f"n = {len(boxes):,} boxes on {int((counts > 0).sum()):,} positive films;"
        f" {style.percent(several)} of these have more than one. The median box covers"
        f" {np.median(share):.1f} % of its film. Middle: darker where more boxes have that size."
    )
    return [Drawing("box_sizes", "How many boxes, and how large", caption, style.png(figure))]


def films_with_boxes(survey: Survey) -> list[Drawing]:
    """Films of each class with their boxes; nothing where only tables are at hand."""
    if not survey.paths:
        return []
    films = survey.films
    rng = np.random.default_rng(_SEED)
    chosen: list[int] = []
    for label, wanted in ((LUNG_OPACITY, 8), (1, 2), (0, 2)):
        chosen += [int(at) for at in rng.permutation(np.flatnonzero(films.label == label))[:wanted]]
    figure, axes = style.panels(-(-len(chosen) // 4), 4, (2.7, 2.9))
    for panel in axes:
        panel.set_axis_off()
    for panel, at in zip(axes, chosen, strict=False):
        _show(panel, survey, at)
    caption = (
        "Films drawn by chance, eight with opacities and their radiologists' boxes, then two of"
        " each other class, shown as a reader sees them."
    )
    return [Drawing("films", "Films with their boxes", caption, style.png(figure))]


def _sizes(axes: Axes, survey: Survey) -> None:
    width, height = survey.boxes.width, survey.boxes.height
    if len(width) > 1_000:
        axes.hexbin(width, height, gridsize=40, cmap="YlOrBr", mincnt=1, bins="log", linewidths=0.1)
    else:
        axes.scatter(width, height, s=14, color=style.ORANGE, alpha=0.7, linewidth=0)
    middle = float(np.median(width)), float(np.median(height))
    axes.plot(*middle, "+", color=INK, markersize=13, markeredgewidth=1.8)
    axes.text(
        0.03,
        0.95,
        f"+ median {middle[0]:.0f} × {middle[1]:.0f}",
        transform=axes.transAxes,
        fontsize=8.5,
        weight="bold",
    )


def _show(axes: Axes, survey: Survey, at: int) -> None:
    films, boxes = survey.films, survey.boxes
    path = survey.paths[str(films.ids[at])]
    try:
        image = (
            load_display(path, MAX_PIXELS)[1] if path.suffix.lower() == ".dcm" else read_jpeg(path)
        )
    except (RefusedError, OSError):
        axes.text(0.5, 0.5, "cannot be read", ha="center", va="center", color=MUTED)
        return
    square, box = letterbox(np.asarray(image, np.uint8), _SHOWN_SIDE)
    axes.imshow(square, cmap="gray", vmin=0, vmax=255)
    for each in np.flatnonzero(boxes.film == at):
        x, y, w, h = boxes.x[each], boxes.y[each], boxes.width[each], boxes.height[each]
        x0, y0, x1, y1 = box.to_input(x, y, x + w, y + h)
        axes.add_patch(
            Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor="#ff5a4a", linewidth=1.6)
        )
    age = f"{films.age[at]:.0f} y" if np.isfinite(films.age[at]) else "age ?"
    words: Sequence[str] = (films.sex[at] or "?", age, films.view[at] or "?")
    axes.set_title(f"{CLASS_NAMES[films.label[at]]}\n{', '.join(words)}", fontsize=8)


def _coverage(survey: Survey, chosen: NDArray[np.bool_], cell: int = 8) -> NDArray[np.float64]:
    """Share of the chosen boxes' films that have a box over each cell of the film."""
    side = FILM_PIXELS // cell
    total = np.zeros((side, side))
    boxes = survey.boxes
    for film in np.unique(boxes.film[chosen]):
        covered = np.zeros((side, side), bool)
        for at in np.flatnonzero(boxes.film == film):
            x, y = int(boxes.x[at]) // cell, int(boxes.y[at]) // cell
            right, low = boxes.x[at] + boxes.width[at], boxes.y[at] + boxes.height[at]
            covered[y : -int(-low // cell), x : -int(-right // cell)] = True
        total += covered
    return total / max(len(np.unique(boxes.film[chosen])), 1)


def _as_film(axes: Axes) -> None:
    axes.set(xlim=(0, FILM_PIXELS), ylim=(FILM_PIXELS, 0), aspect="equal", xlabel="x, px")
    axes.set_ylabel("y, px")
    axes.set_xticks(range(0, FILM_PIXELS + 1, 256))
    axes.set_yticks(range(0, FILM_PIXELS + 1, 256))
    style.light_grid(axes, "both")
