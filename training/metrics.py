"""Figures of merit: AUC, the RSNA challenge's metric, calibration, intervals over patients."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from inference.bundle import Metric
from inference.suppression import iou

CHALLENGE_THRESHOLDS = tuple(step / 20 for step in range(8, 16))
"""0.40, 0.45 … 0.75."""

Floats = NDArray[np.floating]


def auc(scores: Floats, truth: NDArray[np.bool_]) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties half."""
    positive, negative = scores[truth], scores[~truth]
    if len(positive) == 0 or len(negative) == 0:
        return float("nan")
    above = (positive[:, None] > negative[None, :]).mean()
    equal = (positive[:, None] == negative[None, :]).mean()
    return float(above + equal / 2)


def challenge_scores(
    predicted: Sequence[tuple[Floats, Floats]], truth: Sequence[Floats]
) -> NDArray[np.float64]:
    """The RSNA Pneumonia Detection Challenge's metric, film by film.

    Args:
        predicted: Per film, boxes (n, 4) x0, y0, x1, y1 and their confidences (n,).
        truth: Per film, the true boxes (m, 4).

    Returns:
        (films,) the mean over the IoU thresholds of TP / (TP + FP + FN). NaN for a film with
        neither truth nor prediction, which the mean leaves out; 0 for a film without truth on
        which anything was predicted. A prediction, by falling confidence, takes the free true box
        that it overlaps most, if their IoU is greater than the threshold: ">", as the challenge's
        text says ("greater than 0.5"), so an IoU of exactly 0.40 is no hit.
    """
    return np.array([_film(*p, t) for p, t in zip(predicted, truth, strict=True)], np.float64)


def mean_score(scores: NDArray[np.float64]) -> float:
    """Mean over the films that count (see `challenge_scores`); NaN where none does."""
    counted = scores[~np.isnan(scores)]
    return float(counted.mean()) if len(counted) else float("nan")


def expected_calibration_error(
    probability: Floats, truth: NDArray[np.bool_], bins: int = 10
) -> float:
    """Mean gap between probability and frequency over equal-width bins, weighted by films."""
    which = np.minimum((probability * bins).astype(int), bins - 1)
    gaps = [
        abs(probability[which == k].mean() - truth[which == k].mean()) * (which == k).mean()
        for k in range(bins)
        if (which == k).any()
    ]
    return float(sum(gaps))


def brier(probability: Floats, truth: NDArray[np.bool_]) -> float:
    """Mean squared gap between probability and outcome."""
    return float(((probability - truth) ** 2).mean())


def with_interval(
    measure: Callable[[NDArray[np.intp]], float],
    patients: Sequence[str],
    of: str,
    *,
    seed: int = 0,
    draws: int = 1000,
) -> Metric:
    """Measure on all films, with the 95 % percentile interval of a bootstrap over patients.

    `measure` takes the indices of the films to use, with repetitions; a draw on which it gives NaN
    is left out.
    """
    names = sorted(set(patients))
    films = {name: [i for i, p in enumerate(patients) if p == name] for name in names}
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(draws):
        drawn = rng.integers(len(names), size=len(names))
        values.append(measure(np.array([i for k in drawn for i in films[names[k]]], np.intp)))
    counted = [value for value in values if not np.isnan(value)] or [float("nan")]
    low, high = np.percentile(counted, [2.5, 97.5])
    whole = measure(np.arange(len(patients)))
    return Metric(
        value=round(whole, 4), low=round(float(low), 4), high=round(float(high), 4), of=of
    )


def _film(boxes: Floats, confidence: Floats, truth: Floats) -> float:
    if len(boxes) == 0 and len(truth) == 0:
        return float("nan")
    if len(boxes) == 0 or len(truth) == 0:
        return 0.0
    overlaps = iou(boxes, truth)[np.argsort(-confidence, kind="stable")]
    return float(np.mean([_hits(overlaps, t) for t in CHALLENGE_THRESHOLDS]))


def _hits(overlaps: NDArray[np.float64], threshold: float) -> float:
    """TP / (TP + FP + FN) of one film at one threshold; rows by falling confidence."""
    free = np.ones(overlaps.shape[1], bool)
    found = 0
    predictions, truths = overlaps.shape
    for row in overlaps:
        best = int(np.where(free, row, -1).argmax())
        if free[best] and row[best] > threshold:
            free[best] = False
            found += 1
    return float(found / (predictions + truths - found))
