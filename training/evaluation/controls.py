"""Shortcut controls: what is reached without looking at the film, or at the wrong film."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from inference.manifest import Metric
from training import metrics
from training.evaluation.case import Predictions, corners_of
from training.evaluation.delong import auc_interval

SHUFFLES = 200


def controls(predictions: Predictions, draws: int) -> dict[str, Metric]:
    """Measure the controls that the predictions allow; others are left out."""
    cases, truth, patients = predictions.cases, predictions.positive, predictions.patients
    found: dict[str, Metric] = {}
    if any(case.view for case in cases):
        view = np.array([case.view == "AP" for case in cases], np.float64)
        found["view_only_auc"] = auc_interval(
            view, truth, patients, "AUC of the view alone (AP counts as opacity)"
        )
    if all(case.intensity is not None for case in cases):
        mean = np.array([case.intensity for case in cases], np.float64)
        found["mean_intensity_only_auc"] = auc_interval(
            mean, truth, patients, "AUC of the film's mean grey alone (brighter counts as opacity)"
        )
    if all(case.inverted is not None for case in cases):
        inverted = np.array([case.inverted for case in cases], np.float64)
        found["inverted_film_auc"] = auc_interval(
            inverted, truth, patients, "AUC on the films turned black for white"
        )
    if truth.any() and not truth.all():
        found["shuffled_labels_auc"] = _shuffled(
            lambda labels: metrics.auc(predictions.opacity, labels),
            truth,
            f"AUC against labels dealt out anew, mean and range of {SHUFFLES} times: chance",
        )
    boxed = [case for case in cases if case.truth is not None]
    if any(case.truth for case in boxed):
        usual = metrics.challenge_scores(
            [(corners_of(case.constant), np.ones(len(case.constant))) for case in boxed],
            [corners_of(case.truth or ()) for case in boxed],
        )
        found["challenge_score_constant_boxes"] = metrics.with_interval(
            lambda i: metrics.mean_score(usual[i]),
            [case.patient for case in boxed],
            "the same films called positive, but the two median boxes in place of the box head",
            draws=draws,
        )
    return {name: metric for name, metric in found.items() if np.isfinite(metric.value)}


def _shuffled(
    measure: Callable[[NDArray[np.bool_]], float], truth: NDArray[np.bool_], of: str
) -> Metric:
    rng = np.random.default_rng(0)
    values = [measure(rng.permutation(truth)) for _ in range(SHUFFLES)]
    low, high = np.percentile(values, [2.5, 97.5])
    return metrics.rounded(float(np.mean(values)), float(low), float(high), of)
