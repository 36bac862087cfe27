"""The evaluation's report as one HTML page that needs nothing else."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import jinja2

from inference.manifest import Metric
from training.evaluation.curves import BINS
from training.evaluation.figures import Evaluation, key_figures
from training.evaluation.groups import LEAST
from training.evaluation.plots import plots
from training.evaluation.style import STYLE
from training.evaluation.template import PAGE

if TYPE_CHECKING:
    from training.evaluation.report import Report

_CARDS = (
    ("opacity_auc", "AUC of opacity"),
    ("challenge_score", "challenge metric"),
    ("sensitivity", "sensitivity"),
    ("specificity", "specificity"),
    ("expected_calibration_error", "calibration error"),
)
_CAPTIONS = {
    "ROC": "Dots: operating points as they stand here. Out-of-fold thresholds differ by fold, so"
    " they may lie beside the curve.",
    "Precision and recall": "Line: the share of films with opacity.",
    "Reliability": f"{BINS} bins of equally many films, with 95 % intervals (Wilson).",
    "Probabilities": "Calibrated probability of opacity by label.",
    "FROC": "All candidate boxes, also of films called negative. IoU > 0.40 finds a box.",
    "Challenge metric by IoU": "An IoU equal to the threshold is no hit.",
}

_CONTROLS = (
    ("view_only_auc", "the view alone"),
    ("mean_intensity_only_auc", "the mean grey alone"),
    ("inverted_film_auc", "the film turned black for white"),
    ("challenge_score_constant_boxes", "constant boxes"),
)


def render(report: Report) -> str:
    """Return the page."""
    told = report.told
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(figure=_figure, interval=_interval, words=_words)
    return environment.from_string(PAGE).render(
        title=f"Evaluation of {report.bundle}",
        style=STYLE,
        report=report,
        told=told,
        notes=_notes(told),
        cards=[(name, told.metrics[key]) for key, name in _CARDS if key in told.metrics],
        key=key_figures(told),
        more={k: m for k, m in told.metrics.items() if k not in key_figures(told)},
        plots=plots(told),
        captions=_CAPTIONS,
        least=LEAST,
        missing=[words for name, words in _CONTROLS if name not in told.controls],
    )


def _notes(told: Evaluation) -> list[str]:
    predictions = told.predictions
    films, positives = len(predictions.cases), int(predictions.positive.sum())
    boxed = sum(case.truth is not None for case in predictions.cases)
    notes = [
        f"{films:,} films of {len(set(predictions.patients)):,} patients were read,"
        f" {positives:,} of them with opacity ({positives / films:.1%})."
    ]
    if boxed < films:
        notes.append(f"Boxes are known of {boxed:,} films; figures of boxes count those alone.")
    if told.refused:
        reasons = ", ".join(f"{code}: {count}" for code, count in told.refused.items())
        notes.append(
            f"{sum(told.refused.values()):,} films were refused as the service would and are in no"
            f" figure ({reasons})."
        )
    return notes


def _figure(metric: Metric) -> str:
    return "–" if math.isnan(metric.value) else f"{metric.value:.3f}"


def _interval(metric: Metric) -> str:
    return "" if math.isnan(metric.low) else f"{metric.low:.3f} to {metric.high:.3f}"


def _words(name: str) -> str:
    return name.replace("_", " ")
