"""Every figure of an evaluation, computed from the predictions alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.manifest import Metric
from training import metrics
from training.evaluation import curves
from training.evaluation.case import Case, Predictions, corners_of, scores_of
from training.evaluation.controls import controls
from training.evaluation.delong import auc_interval
from training.evaluation.groups import Group, groups
from training.tables import NORMAL

DRAWS = 1000
"""Bootstrap samples of an interval."""
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Point:
    """What an operating point gives: `thresholds` are the least and the greatest of the folds'."""

    name: str
    thresholds: tuple[float, float]
    sensitivity: Metric
    specificity: Metric
    positive_predictive_value: Metric
    negative_predictive_value: Metric


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Predictions with all that was measured on them.

    `metrics` are the figures by name, in the order in which they are told. `challenge` is the
    challenge's score by IoU threshold, `froc` the share of true boxes found by false boxes a film;
    both are empty where no boxes are known.
    """

    predictions: Predictions
    metrics: Mapping[str, Metric]
    points: tuple[Point, ...]
    challenge: Mapping[float, float]
    froc: Mapping[float, Metric]
    groups: tuple[Group, ...]
    controls: Mapping[str, Metric]
    refused: Mapping[str, int]
    roc: curves.Curve
    precision_recall: curves.Curve
    froc_curve: curves.Curve | None
    reliability: tuple[curves.Bin, ...]


_AUC = "AUC, lung opacity against the rest"
_KEY = (
    "opacity_auc",
    "opacity_auc_ap",
    "opacity_auc_pa",
    "view_only_auc",
    "opacity_against_normal_auc",
    "opacity_average_precision",
    "accuracy_3_classes",
    "sensitivity",
    "specificity",
    "challenge_score",
    "challenge_score_constant_boxes",
    "froc_1",
    "expected_calibration_error",
    "brier",
)


def key_figures(told: Evaluation) -> dict[str, Metric]:
    """Return the figures that a bundle and its card carry."""
    everything = {**told.metrics, **told.controls}
    return {name: everything[name] for name in _KEY if name in everything}


def evaluate(predictions: Predictions, *, draws: int = DRAWS) -> Evaluation:
    """Measure everything that the predictions allow, with intervals over patients.

    Raises:
        ValueError: there are no predictions.
    """
    cases = predictions.cases
    if not cases:
        raise ValueError("no film was read, so there is nothing to measure")
    truth, opacity = predictions.positive, predictions.opacity
    boxed = np.array([case.truth is not None for case in cases], bool)
    table = np.full((len(cases), len(metrics.CHALLENGE_THRESHOLDS)), np.nan)
    if boxed.any():
        table[boxed] = _challenge([case for case in cases if case.truth is not None])
    scores = table.mean(axis=1)
    found = curves.find_boxes([case for case in cases if case.truth is not None])
    measured = _measure(predictions, scores, draws)
    froc = _froc(predictions, boxed, found, draws) if found.boxes.any() else {}
    if froc:
        measured["froc_1"] = froc[1.0]
    counted = ~np.isnan(scores)
    return Evaluation(
        predictions=predictions,
        metrics={name: m for name, m in measured.items() if np.isfinite(m.value)},
        points=tuple(_point(predictions, name, draws) for name in sorted(cases[0].thresholds)),
        challenge={
            threshold: round(float(table[counted, k].mean()), 4)
            for k, threshold in enumerate(metrics.CHALLENGE_THRESHOLDS)
            if counted.any()
        },
        froc=froc,
        groups=groups(predictions, scores, draws),
        controls=controls(predictions, draws),
        refused=dict(sorted(Counter(each.code for each in predictions.refused).items())),
        roc=curves.roc(opacity, truth),
        precision_recall=curves.precision_recall(opacity, truth),
        froc_curve=curves.froc(found) if froc else None,
        reliability=curves.reliability(opacity, truth),
    )


def _measure(predictions: Predictions, scores: Floats, draws: int) -> dict[str, Metric]:
    truth, opacity, called = predictions.positive, predictions.opacity, predictions.called()
    patients, cases = predictions.patients, predictions.cases
    labels = np.array([case.label for case in cases])
    guess = np.array([case.probabilities for case in cases]).argmax(axis=1)
    ap = np.array([case.view == "AP" for case in cases])

    def over(
        mask: Bools, measure: Callable[[NDArray[np.intp]], float], of: str, *, debias: bool = False
    ) -> Metric:
        at = np.nonzero(mask)[0]
        return metrics.with_interval(
            lambda i: measure(at[i]),
            [patients[k] for k in at.tolist()],
            of,
            draws=draws,
            debias=debias,
        )

    def auc(i: NDArray[np.intp]) -> float:
        return metrics.auc(opacity[i], truth[i])

    def correct(mask: Bools, of: str) -> Metric:
        at = np.nonzero(mask)[0]
        return metrics.proportion(
            (called == truth)[at], [patients[k] for k in at.tolist()], of, draws=draws
        )

    everyone = np.ones(len(cases), bool)
    found = {
        "opacity_auc": over(everyone, auc, _AUC),
        "opacity_auc_delong": auc_interval(
            opacity, truth, patients, f"{_AUC}, with DeLong's interval"
        ),
        "opacity_average_precision": over(
            everyone,
            lambda i: metrics.average_precision(opacity[i], truth[i]),
            "average precision, lung opacity against the rest",
        ),
        "opacity_against_normal_auc": over(
            truth | (labels == NORMAL), auc, "AUC, lung opacity against normal films alone"
        ),
        "accuracy_3_classes": over(
            everyone,
            lambda i: float((guess == labels)[i].mean()),
            "accuracy over the three classes",
        ),
        "sensitivity": correct(truth, "sensitivity at the operating point in use"),
        "specificity": correct(~truth, "specificity at the operating point in use"),
        "expected_calibration_error": over(
            everyone,
            lambda i: metrics.expected_calibration_error(opacity[i], truth[i]),
            "expected calibration error of the probability of opacity, 10 bins",
            debias=True,
        ),
        "expected_calibration_error_equal_mass": over(
            everyone,
            lambda i: metrics.expected_calibration_error(opacity[i], truth[i], equal_mass=True),
            "expected calibration error in 10 bins of equally many films",
            debias=True,
        ),
        "brier": over(
            everyone,
            lambda i: metrics.brier(opacity[i], truth[i]),
            "Brier score of the probability of opacity",
        ),
        "probability_minus_prevalence": over(
            everyone,
            lambda i: float(opacity[i].mean() - truth[i].mean()),
            "mean probability of opacity less the share of films with opacity",
        ),
    }
    if any(case.view for case in cases):
        found["opacity_auc_ap"] = over(ap, auc, f"{_AUC}, AP films alone")
        found["opacity_auc_pa"] = over(~ap, auc, f"{_AUC}, other (PA) films alone")
    if not np.isnan(scores).all():
        found["challenge_score"] = over(
            everyone,
            lambda i: metrics.mean_score(scores[i]),
            "RSNA challenge metric, IoU > 0.40 … > 0.75, boxes as the service draws them",
        )
    return found


def _challenge(cases: list[Case]) -> Floats:
    return metrics.challenge_table(
        [(corners_of(case.drawn), scores_of(case.drawn)) for case in cases],
        [corners_of(case.truth or ()) for case in cases],
    )


def _froc(
    predictions: Predictions, boxed: Bools, found: curves.Found, draws: int
) -> dict[float, Metric]:
    patients = [predictions.patients[k] for k in np.nonzero(boxed)[0].tolist()]
    drawn = [curves.froc(found, films) for films in metrics.resample(patients, draws, 0)]
    whole = curves.froc(found)
    measured = {}
    for rate in curves.FROC_RATES:
        values = [curves.sensitivity_at(curve, rate) for curve in drawn]
        low, high = np.percentile(values, [2.5, 97.5])
        measured[rate] = metrics.rounded(
            curves.sensitivity_at(whole, rate),
            float(low),
            float(high),
            f"true boxes found (IoU > {curves.FROC_IOU:.2f}), at {rate:g} false boxes a film",
        )
    return measured


def _point(predictions: Predictions, name: str, draws: int) -> Point:
    truth, called = predictions.positive, predictions.called(name)
    thresholds = [case.thresholds[name] for case in predictions.cases]

    def share(right: Bools, among: Bools, of: str) -> Metric:
        at = np.nonzero(among)[0]
        patients = [predictions.patients[k] for k in at.tolist()]
        return metrics.proportion(right[at], patients, of, draws=draws)

    return Point(
        name,
        (min(thresholds), max(thresholds)),
        share(called, truth, "positives called positive"),
        share(~called, ~truth, "negatives called negative"),
        share(truth, called, "called positive that are"),
        share(~truth, ~called, "called negative that are"),
    )
