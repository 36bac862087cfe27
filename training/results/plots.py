"""The figures of one run: confusion matrix, curves, epochs, IoU. Drawn off screen by matplotlib."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from PIL import Image

from inference.manifest import Metric
from training.results.curves import Curve
from training.results.scores import Confusion

INK = "#22303c"
MUTED = "#8a97a3"
GRID = "#e3e8ec"
OURS = "#1f6f8b"
OTHER = "#d1803c"
NAMES = ("no opacity", "opacity")

_SIDE = 3.1
"""Height of a figure, in inches; a square panel is as wide."""
_DPI = 110
_SHARES = LinearSegmentedColormap.from_list("shares", ["#f7fafb", OURS])


def png(figure: Figure, *, colours: int = 64) -> bytes:
    """Draw a figure as PNG of few colours, a third of the size of one of all."""
    FigureCanvasAgg(figure)
    full, small = io.BytesIO(), io.BytesIO()
    figure.savefig(full, format="png", dpi=_DPI, facecolor="white")
    image = Image.open(full).convert("RGB")
    image.quantize(colours, method=Image.Quantize.MAXCOVERAGE).save(small, "PNG", optimize=True)
    return small.getvalue()


def classifier_figure(
    confusion: Confusion,
    roc: Curve,
    precision_recall: Curve,
    auc: Metric,
    history: Mapping[str, NDArray[np.float64]],
) -> Figure:
    """Draw a classifier's sheet: loss, accuracy, confusion matrix, ROC and precision-recall."""
    figure, axes = _panels(5)
    draw_epochs(axes[0], history, "loss", "loss")
    draw_epochs(axes[1], history, "accuracy", "accuracy")
    draw_confusion(axes[2], confusion)
    draw_roc(axes[3], roc, auc)
    draw_precision_recall(axes[4], precision_recall, confusion)
    return figure


def box_figure(
    iou: NDArray[np.float64],
    constant: NDArray[np.float64],
    history: Mapping[str, NDArray[np.float64]],
) -> Figure:
    """Draw a regressor's sheet: loss, IoU by epoch, and the distribution of IoU over films."""
    figure, axes = _panels(3)
    draw_epochs(axes[0], history, "loss", "loss")
    draw_epochs(axes[1], history, "iou", "mean IoU")
    draw_iou(axes[2], iou, constant)
    return figure


def draw_confusion(axes: Axes, confusion: Confusion) -> None:
    """Draw films by truth (rows) and call (columns), with their share of the row."""
    counts = np.array([[confusion.tn, confusion.fp], [confusion.fn, confusion.tp]])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap=_SHARES, vmin=0, vmax=1.1)
    for (row, column), count in np.ndenumerate(counts):
        share = shares[row, column]
        colour = "white" if share > 0.55 else INK
        axes.text(
            column, row - 0.06, f"{count:,}", ha="center", va="center", color=colour, fontsize=13
        )
        axes.text(
            column, row + 0.24, f"{share:.0%}", ha="center", va="center", color=colour, fontsize=8
        )
    _frame(axes, "confusion matrix", "called", "truth", grid=False)
    axes.set_xticks([0, 1], NAMES)
    axes.set_yticks([0, 1], NAMES, rotation=90, va="center")


def draw_roc(axes: Axes, roc: Curve, auc: Metric) -> None:
    """Draw the ROC curve beside chance, with its area and the interval of that."""
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
    axes.plot(roc.x, roc.y, color=OURS, linewidth=1.8)
    _unit(axes)
    _frame(axes, "ROC", "1 - specificity", "sensitivity")
    _note(axes, f"AUC {auc.value:.3f}\n95 % {auc.low:.3f} to {auc.high:.3f}", 0.96, 0.06, "right")


def draw_precision_recall(axes: Axes, curve: Curve, confusion: Confusion) -> None:
    """Draw precision by recall, beside the share of positives, which calling everything gives."""
    share = (confusion.tp + confusion.fn) / max(confusion.films, 1)
    axes.axhline(share, color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
    recall, precision = np.append(0.0, curve.x), np.append(curve.y[:1], curve.y)
    axes.step(recall, precision, where="pre", color=OURS, linewidth=1.8)
    _unit(axes)
    _frame(axes, "precision and recall", "recall", "precision")
    _note(axes, f"average precision {curve.area:.3f}", 0.04, 0.06, "left")


def draw_epochs(
    axes: Axes, history: Mapping[str, NDArray[np.float64]], column: str, name: str
) -> None:
    """Draw a figure of training and validation by epoch; says so where there is none."""
    epochs = history.get("epoch", np.zeros(0))
    drawn = False
    for key, label, colour in ((column, "train", OURS), (f"val_{column}", "validation", OTHER)):
        values = history.get(key)
        if values is not None and len(values):
            axes.plot(
                np.arange(1, len(epochs) + 1), values, color=colour, linewidth=1.8, label=label,
                marker="o", markersize=3 if len(values) < 30 else 0,
            )  # fmt: skip
            drawn = True
    _frame(axes, name, "epoch", "")
    if drawn:
        axes.legend(frameon=False, fontsize=8, labelcolor=INK, handlelength=1.2)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        axes.margins(x=0.08, y=0.12)
    else:
        axes.set_xticks([])
        axes.set_yticks([])
        _note(axes, "no epochs recorded", 0.5, 0.5, "center")


def draw_iou(axes: Axes, iou: NDArray[np.float64], constant: NDArray[np.float64]) -> None:
    """Draw how many films have which IoU, ours beside the constant box on the same films."""
    bins = np.linspace(0, 1, 21).tolist()
    axes.hist(iou, bins, color=OURS, alpha=0.85, label=f"this network, mean {_mean(iou)}")
    axes.hist(
        constant, bins, histtype="step", color=OTHER, linewidth=1.8,
        label=f"constant box, mean {_mean(constant)}",
    )  # fmt: skip
    axes.set_xlim(0, 1)
    _frame(axes, "IoU with the true box", "IoU", "films")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.set_ylim(top=axes.get_ylim()[1] * 1.2)
    axes.legend(frameon=False, fontsize=8, labelcolor=INK, handlelength=1.2, loc="upper right")


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    """Lay out panels by hand: matplotlib's own layout would draw every figure twice."""
    figure = Figure(figsize=(_SIDE * count, _SIDE))
    axes: Iterable[Axes] = figure.subplots(1, count, squeeze=False)[0]
    figure.subplots_adjust(
        left=0.42 / count / _SIDE * 1.2,
        right=1 - 0.12 / count / _SIDE,
        bottom=0.44 / _SIDE,
        top=1 - 0.32 / _SIDE,
        wspace=0.24,
    )
    return figure, list(axes)


def _frame(axes: Axes, title: str, x: str, y: str, *, grid: bool = True) -> None:
    axes.set_title(title, loc="left", fontsize=9.5, color=INK, fontweight="bold", pad=8)
    axes.set_xlabel(x, fontsize=8, color=MUTED)
    axes.set_ylabel(y, fontsize=8, color=MUTED)
    axes.tick_params(labelsize=8, colors=MUTED, labelcolor=INK, length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if grid:
        axes.grid(color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines["bottom"].set_visible(True)
        axes.spines["bottom"].set_color(GRID)


def _unit(axes: Axes) -> None:
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_aspect("equal")


def _note(axes: Axes, text: str, x: float, y: float, side: str) -> None:
    axes.text(
        x, y, text, transform=axes.transAxes, ha=side, va="bottom", fontsize=8, color=INK,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.5},
    )  # fmt: skip


def _mean(values: NDArray[np.float64]) -> str:
    return f"{values.mean():.3f}" if len(values) else "-"
