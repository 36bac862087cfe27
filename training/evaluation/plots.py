"""Plots as SVG that stands inside a page and takes its colours: light or dark."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from inference.manifest import Metric
from training.evaluation.curves import FROC_RATES
from training.evaluation.figures import Evaluation

_INK, _LINE, _OURS, _OTHER = "#111111", "#222222", "#333333", "#444444"
_NAMES = {_INK: "ink", _LINE: "line", _OURS: "ours", _OTHER: "other"}
"""Colours that stand for the page's own: replaced by CSS variables in the finished SVG."""
_RC = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": _INK,
    "axes.edgecolor": _LINE,
    "axes.labelcolor": _INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlecolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": _LINE,
    "grid.linewidth": 0.6,
    "xtick.color": _LINE,
    "ytick.color": _LINE,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.8,
}


def plots(told: Evaluation) -> dict[str, Markup]:
    """Return the plots by title; those of boxes are left out where no boxes are known."""
    drawn = {
        "ROC": _plot("roc", lambda axes: _roc(axes, told)),
        "Precision and recall": _plot("pr", lambda axes: _precision_recall(axes, told)),
        "Reliability": _plot("reliability", lambda axes: _reliability(axes, told)),
        "Probabilities": _plot("probabilities", lambda axes: _histogram(axes, told)),
    }
    if told.froc_curve is not None:
        drawn["FROC"] = _plot("froc", lambda axes: _froc(axes, told))
        drawn["Challenge metric by IoU"] = _plot("challenge", lambda axes: _challenge(axes, told))
    return drawn


def _plot(name: str, draw: Callable[[Axes], None]) -> Markup:
    with mpl.rc_context({**_RC, "svg.hashsalt": name}):  # type: ignore[dict-item]  # private keys
        figure = Figure(figsize=(4.0, 3.3), layout=ConstrainedLayoutEngine())
        FigureCanvasSVG(figure)
        axes = figure.subplots()
        axes.grid(True)
        axes.tick_params(length=0)
        draw(axes)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return _inline(buffer.getvalue(), name)


def _inline(svg: str, name: str) -> Markup:
    """Cut an SVG file down to its element, its ids made its own and its colours the page's."""
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'(\bid="|url\(#|xlink:href="#)', rf"\g<1>{name}-", svg)
    for colour, role in _NAMES.items():
        svg = svg.replace(colour, f"var(--{role})")
    return Markup(svg)


def _text(metric: Metric) -> str:
    return f"{metric.value:.3f} ({metric.low:.3f} to {metric.high:.3f})"


def _roc(axes: Axes, told: Evaluation) -> None:
    axes.plot([0, 1], [0, 1], color=_LINE, linewidth=1)
    label = f"AUC {_text(told.metrics['opacity_auc'])}" if "opacity_auc" in told.metrics else None
    axes.step(told.roc.x, told.roc.y, where="post", color=_OURS, label=label)
    for point in told.points:
        x, y = 1 - point.specificity.value, point.sensitivity.value
        if np.isfinite([x, y]).all():
            axes.plot(x, y, "o", color=_OTHER, markersize=5)
            axes.annotate(
                point.name.replace("_", " "), (x, y), (6, -10), textcoords="offset points"
            )
    _unit(axes, "false positive rate", "sensitivity")
    if label:
        axes.legend(loc="lower right")


def _precision_recall(axes: Axes, told: Evaluation) -> None:
    prevalence = float(told.predictions.positive.mean())
    axes.axhline(prevalence, color=_LINE, linewidth=1)
    average = told.metrics.get("opacity_average_precision")
    label = f"average precision {_text(average)}" if average else None
    axes.step(
        told.precision_recall.x, told.precision_recall.y, where="pre", color=_OURS, label=label
    )
    _unit(axes, "recall", "precision")
    if label:
        axes.legend(loc="lower left")


def _reliability(axes: Axes, told: Evaluation) -> None:
    bins = told.reliability
    x, y = [each.probability for each in bins], [each.frequency for each in bins]
    error = [[b.frequency - b.low for b in bins], [b.high - b.frequency for b in bins]]
    axes.plot([0, 1], [0, 1], color=_LINE, linewidth=1)
    axes.errorbar(x, y, yerr=np.clip(error, 0, None), fmt="o", color=_OURS, markersize=5, lw=1)
    _unit(axes, "mean probability of the bin", "share with opacity")


def _histogram(axes: Axes, told: Evaluation) -> None:
    opacity, truth = told.predictions.opacity, told.predictions.positive
    edges = np.linspace(0, 1, 21).tolist()
    for which, colour, name in ((~truth, _OURS, "no opacity"), (truth, _OTHER, "opacity")):
        axes.hist(opacity[which], edges, color=colour, alpha=0.55, label=name)
    axes.set(xlabel="probability of opacity", ylabel="films", xlim=(0, 1))
    axes.legend()


def _froc(axes: Axes, told: Evaluation) -> None:
    assert told.froc_curve is not None
    x = [0.0, *told.froc_curve.x[told.froc_curve.x > 0].tolist()]
    y = [float(told.froc_curve.y[told.froc_curve.x <= at].max()) for at in x]
    axes.step(x, y, where="post", color=_OURS)
    rates: Sequence[float] = FROC_RATES
    points = [told.froc[rate] for rate in rates]
    low = [point.value - point.low for point in points]
    high = [point.high - point.value for point in points]
    axes.errorbar(
        rates,
        [p.value for p in points],
        yerr=[low, high],
        fmt="o",
        color=_OTHER,
        markersize=4,
        lw=1,
    )
    axes.set_xscale("log", base=2)
    axes.set_xticks(rates, ["1/8", "1/4", "1/2", "1", "2", "4", "8"])
    axes.set_xlim(0.1, 10)
    axes.set(xlabel="false boxes a film", ylabel="share of true boxes found", ylim=(0, 1.02))


def _challenge(axes: Axes, told: Evaluation) -> None:
    axes.plot(list(told.challenge), list(told.challenge.values()), "o-", color=_OURS, markersize=4)
    axes.set(xlabel="IoU greater than", ylabel="TP / (TP + FP + FN)", ylim=(0, None))


def _unit(axes: Axes, x: str, y: str) -> None:
    axes.set(xlabel=x, ylabel=y, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
