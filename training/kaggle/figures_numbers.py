"""Figures of the numeric columns: ages, correlations, box plots."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle
from numpy.typing import NDArray

from training.kaggle import measures, style
from training.kaggle.figures_pairs import Columns, box_columns
from training.kaggle.style import (
    CLASS_COLOURS,
    CLASS_NAMES,
    INK,
    MUTED,
    TARGET_COLOURS,
    TARGET_NAMES,
    Drawing,
)
from training.kaggle.survey import Floats, Survey


def ages(survey: Survey) -> list[Drawing]:
    """Ages by target, with those above 100 years."""
    films = survey.films
    known = np.isfinite(films.age)
    if not known.any():
        return []
    figure, axes = style.panels(1, 1, (9.6, 3.0))
    panel = axes[0]
    edges = np.arange(0, max(101, float(films.age[known].max()) + 2), 2)
    by_target = [films.age[known & (films.target == target)] for target in (0, 1)]
    panel.hist(
        by_target,
        bins=[float(edge) for edge in edges],
        stacked=True,
        color=list(TARGET_COLOURS),
        label=list(TARGET_NAMES),
        edgecolor="white",
        linewidth=0.4,
    )
    old = np.sort(films.age[films.age > 100])
    if len(old):
        panel.annotate(
            f"{len(old)} films above 100 years:\n" + ", ".join(f"{age:.0f}" for age in old[:8]),
            (float(old.mean()), 0),
            xytext=(0, 42),
            textcoords="offset points",
            ha="center",
            fontsize=8.5,
            arrowprops={"arrowstyle": "-", "color": MUTED},
        )
    panel.set(xlabel="age, years", ylabel="films in 2 years")
    panel.legend(loc="upper right")
    style.thousands(panel.yaxis)
    style.light_grid(panel)
    caption = (
        f"n = {int(known.sum()):,} films; median {np.median(films.age[known]):.0f} years,"
        f" {int((films.age < 18).sum()):,} films of children, {len(old)} ages above 100."
    )
    return [Drawing("ages", "Ages", caption, style.png(figure))]


def correlation_plot(survey: Survey) -> list[Drawing]:
    """Correlation plot: circles whose size and colour are Pearson's r, by film."""
    columns = _film_columns(survey)
    matrix = _matrix(columns)
    count = len(columns)
    figure, axes = style.panels(1, 2, (5.0, 4.4))
    panel = axes[0]
    for (row, column), r in np.ndenumerate(matrix):
        if row > column and np.isfinite(r):
            radius = 0.46 * float(np.sqrt(abs(r)))
            panel.add_patch(Circle((column, row), radius, color=_colour(float(r)), linewidth=0))
    panel.set(xlim=(-0.5, count - 1.5), ylim=(count - 0.5, 0.5), aspect="equal")
    panel.set_xticks(range(count - 1), list(columns)[:-1], rotation=40, ha="right")
    panel.set_yticks(range(1, count), list(columns)[1:])
    panel.set_title("Area of a circle: |r|")
    style.light_grid(panel, "both")
    with_target = {
        name: float(r)
        for name, r in zip(columns, matrix[0], strict=True)
        if name not in ("target", "boxes") and np.isfinite(r)
    }
    names = sorted(with_target, key=lambda name: abs(with_target[name]))
    values = [with_target[name] for name in names]
    bars = axes[1].barh(names, values, 0.6, color=[_colour(value) for value in values])
    axes[1].bar_label(bars, [f"{value:+.2f}" for value in values], padding=3, fontsize=8.5)
    axes[1].axvline(0, color=MUTED, linewidth=0.8)
    reach = max(0.1, 1.35 * max((abs(value) for value in values), default=0))
    axes[1].set(xlim=(-reach, reach), xlabel="Pearson's r with target", title="With the target")
    style.light_grid(axes[1], "x")
    caption = (
        f"n = {len(survey.films):,} films; blue is negative, red positive. AP view and male sex are"
        " 1 or 0; ages above 100 are left out."
    )
    return [Drawing("correlation", "Correlation plot", caption, style.png(figure))]


def heat_map(survey: Survey) -> list[Drawing]:
    """Heat map of Pearson's r, by film and by box."""
    tables: list[tuple[str, Columns]] = [
        (f"By film (n = {len(survey.films):,})", _film_columns(survey))
    ]
    if len(survey.boxes) > 2:
        tables.append((f"By box (n = {len(survey.boxes):,})", box_columns(survey)))
    figure, axes = style.panels(1, len(tables), (5.2, 4.7))
    for panel, (title, columns) in zip(axes, tables, strict=True):
        matrix = _matrix(columns)
        panel.imshow(np.nan_to_num(matrix), cmap="RdBu_r", vmin=-1, vmax=1)
        for (row, column), r in np.ndenumerate(matrix):
            said = f"{round(r, 2) + 0:.2f}" if np.isfinite(r) else "–"  # + 0: no minus zero
            ink = "white" if abs(np.nan_to_num(r)) > 0.6 else INK
            panel.text(column, row, said, ha="center", va="center", fontsize=7.5, color=ink)
        panel.set_xticks(range(len(columns)), list(columns), rotation=40, ha="right")
        panel.set_yticks(range(len(columns)), list(columns))
        panel.set_title(title)
        panel.tick_params(length=0)
        panel.spines[:].set_visible(False)
    caption = "Pearson's r of the numeric columns; a dash where a column is constant."
    return [Drawing("heat_map", "Heat map of correlations", caption, style.png(figure))]


def box_plots(survey: Survey) -> list[Drawing]:
    """Box plots of age, box area and, where pixels were read, grey values, by group."""
    films, boxes = survey.films, survey.boxes
    age = np.where(films.age <= 100, films.age, np.nan)
    by_class = [(name, films.label == at) for at, name in enumerate(CLASS_NAMES)]
    by_sex = [(style.SEX_NAMES[sex], films.sex == sex) for sex in ("M", "F")]
    by_view = [(view, films.view == view) for view in ("PA", "AP")]
    area = 100 * boxes.area / 1024**2
    plots = [
        ("Age by class", "years", age, by_class),
        ("Age by sex", "years", age, by_sex),
        ("Age by view", "years", age, by_view),
    ]
    if len(boxes):
        bins = measures.age_bin(films.age)
        for name, groups in (
            ("view", by_view),
            ("sex", by_sex),
            ("age", [(each, bins == each) for each in measures.AGE_BINS[:4]]),
        ):
            of_boxes = [(group, chosen[boxes.film]) for group, chosen in groups]
            plots.append((f"Box area by {name}", "% of the film", area, of_boxes))
    if survey.has_pixels:
        plots += [
            ("Mean grey by class", "stored value", films.mean, by_class),
            ("Mean grey by view", "stored value", films.mean, by_view),
            ("Contrast by class", "std of stored values", films.std, by_class),
        ]
    figure, axes = style.panels(len(plots) // 3, 3, (3.4, 2.7))
    for panel, (title, unit, values, groups) in zip(axes, plots, strict=True):
        _boxes(panel, values, groups)
        panel.set(title=title, ylabel=unit)
    caption = (
        "Box: quartiles and median; whiskers: 5th and 95th percentile. Ages above 100 left out."
    )
    return [Drawing("box_plots", "Box plots", caption, style.png(figure))]


def _boxes(axes: Axes, values: Floats, groups: Sequence[tuple[str, NDArray[np.bool_]]]) -> None:
    colours = CLASS_COLOURS if len(groups) == 3 else (style.GROUP_COLOURS[1],) * len(groups)
    shown = [(name, values[chosen & np.isfinite(values)]) for name, chosen in groups]
    drawn = axes.boxplot(
        [each for _, each in shown],
        whis=(5, 95),
        showfliers=False,
        patch_artist=True,
        widths=0.55,
        medianprops={"color": INK, "linewidth": 1.6},
        whiskerprops={"color": MUTED},
        capprops={"color": MUTED},
    )
    for patch, colour in zip(drawn["boxes"], colours, strict=True):
        patch.set(facecolor=colour, edgecolor="none")
    names = [name.replace(", ", ",\n") for name, _ in shown]
    ticks = [f"{n}\nn={len(each):,}" for n, (_, each) in zip(names, shown, strict=True)]
    axes.set_xticks(range(1, len(shown) + 1), ticks, fontsize=7.5)
    style.light_grid(axes)


def _film_columns(survey: Survey) -> Columns:
    films = survey.films
    columns = {
        "target": films.target.astype(float),
        "boxes": measures.boxes_per_film(survey).astype(float),
        "age": np.where(films.age <= 100, films.age, np.nan),
        "male": np.where(films.sex == "", np.nan, films.sex == "M"),
        "AP view": np.where(films.view == "", np.nan, films.view == "AP"),
        "pixel spacing": films.spacing,
    }
    if survey.has_pixels:
        columns |= {"mean grey": films.mean, "std of grey": films.std}
    return columns


def _matrix(columns: Columns) -> Floats:
    values = list(columns.values())
    return np.array([[measures.correlation(a, b) for b in values] for a in values])


def _colour(r: float) -> str:
    return TARGET_COLOURS[1] if r > 0 else style.BLUE
