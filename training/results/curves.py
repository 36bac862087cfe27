"""Figures of probabilities and of boxes: curves, their intervals, IoU, the challenge's metric."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from inference.manifest import Metric
from training import metrics

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]

_Z95 = NormalDist().inv_cdf(0.975)
_STEPS = (256.0, 64.0, 16.0, 4.0, 1.0)
"""Pixels by which the constant box is moved while it is sought."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve of points (n,) x and y, both 0 to 1, and the figure that sums it up.

    ROC: x is 1 - specificity, y sensitivity. Precision-recall: x is recall, y precision.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    area: float


@dataclass(frozen=True, slots=True)
class Difference:
    """AUC of one classifier minus another's on the same films: 95 % interval and two-sided p."""

    value: float
    low: float
    high: float
    p: float


def roc(probability: Floats, truth: Bools) -> Curve:
    """The ROC curve with a corner at every probability that occurs, and its area.

    The area is the chance that a positive film's probability is above a negative one's, ties
    counting half. NaN, and no points, where one class is missing.
    """
    if truth.all() or not truth.any():
        return Curve(np.zeros(0), np.zeros(0), float("nan"))
    hits, alarms = _called(probability, truth)
    return Curve(
        np.concatenate([[0.0], alarms / alarms[-1]]),
        np.concatenate([[0.0], hits / hits[-1]]),
        auc(probability, truth),
    )


def precision_recall(probability: Floats, truth: Bools) -> Curve:
    """The precision-recall curve, and average precision as its area.

    Average precision is the sum over the points of precision times the recall gained, without
    interpolation (Davis and Goadrich 2006 show why a straight line between points is too good).
    """
    if not truth.any():
        return Curve(np.zeros(0), np.zeros(0), float("nan"))
    hits, alarms = _called(probability, truth)
    precision, recall = hits / (hits + alarms), hits / hits[-1]
    gained = np.diff(recall, prepend=0.0)
    return Curve(recall, precision, float((gained * precision).sum()))


def auc(probability: Floats, truth: Bools) -> float:
    """Area under the ROC curve from ranks; NaN where one class is missing.

    The same as `training.metrics.auc`, without its table of all pairs, which the whole challenge
    set would make larger than memory.
    """
    positive, negative = int(truth.sum()), int((~truth).sum())
    if positive == 0 or negative == 0:
        return float("nan")
    ranks = _midranks(probability)[truth].sum()
    return float((ranks - positive * (positive + 1) / 2) / (positive * negative))


def auc_interval(
    probability: Floats,
    truth: Bools,
    groups: Sequence[str],
    *,
    of: str = "AUC, bootstrap",
    draws: int = 1000,
) -> Metric:
    """AUC with the 95 % percentile interval of a bootstrap.

    `groups` names what is drawn: films by their ids, or patients, so that films of one patient come
    and go together.
    """
    return metrics.with_interval(lambda i: auc(probability[i], truth[i]), groups, of, draws=draws)


def delong_interval(probability: Floats, truth: Bools) -> Metric:
    """AUC with the 95 % interval of DeLong, DeLong and Clarke-Pearson (Biometrics 1988, 44:837).

    The variance comes from each film's placement among the films of the other class, found by
    midranks as in Sun and Xu (IEEE Signal Processing Letters 2014, 21:1389). Films count as
    independent of each other. The normal interval is cut at 0 and 1; NaN where a class has fewer
    than two films.
    """
    value = auc(probability, truth)
    half = _Z95 * math.sqrt(_delong_covariance([probability], truth)[0, 0])
    return Metric(
        value=value, low=max(0.0, value - half), high=min(1.0, value + half), of="AUC, DeLong"
    )


def delong_difference(one: Floats, other: Floats, truth: Bools) -> Difference:
    """Compare two classifiers' AUC on the same films (DeLong et al. 1988, paired).

    Where both order the films alike the difference is 0 and p is 1.
    """
    value = auc(one, truth) - auc(other, truth)
    covariance = _delong_covariance([one, other], truth)
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    if variance <= 1e-15:
        return Difference(value, value, value, 1.0 if abs(value) < 1e-12 else 0.0)
    error = math.sqrt(variance)
    p = 2 * (1 - NormalDist().cdf(abs(value) / error)) if not math.isnan(error) else float("nan")
    return Difference(value, value - _Z95 * error, value + _Z95 * error, p)


def pair_iou(one: Floats, other: Floats) -> NDArray[np.float64]:
    """IoU of box k of `one` with box k of `other`, both (n, 4) x, y, width, height; (n,)."""
    low = np.maximum(one[:, :2], other[:, :2])
    high = np.minimum(one[:, :2] + one[:, 2:], other[:, :2] + other[:, 2:])
    shared = np.clip(high - low, 0, None).astype(np.float64).prod(axis=1)
    areas = [
        np.clip(boxes[:, 2:], 0, None).astype(np.float64).prod(axis=1) for boxes in (one, other)
    ]
    union = areas[0] + areas[1] - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))


def constant_box(boxes: Floats) -> NDArray[np.float64]:
    """The one box (4,) whose mean IoU with `boxes` (n, 4) x, y, width, height is greatest.

    Whoever looks at no film can draw it. Sought by moving its corners in ever smaller steps, from
    the median box of either half of the films, as most opacities lie in one lung or the other.

    Raises:
        ValueError: there are no boxes.
    """
    if len(boxes) == 0:
        raise ValueError("no boxes to find the constant box of")
    middle = boxes[:, 0] + boxes[:, 2] / 2
    left = middle < np.median(middle)
    starts = [np.median(half, axis=0) for half in (boxes, boxes[left], boxes[~left]) if len(half)]
    found = [_climb(start.astype(np.float64), boxes) for start in starts]
    return max(found, key=lambda box: _mean_iou(box, boxes))


def challenge(
    predicted: Sequence[tuple[Floats, Floats]], truth: Sequence[Floats]
) -> NDArray[np.float64]:
    """The challenge's metric film by film, of boxes as x, y, width, height.

    See `training.metrics.challenge_scores`, which does it; NaN for a film that does not count.
    """
    return metrics.challenge_scores(
        [(corners(boxes), confidence) for boxes, confidence in predicted],
        [corners(boxes) for boxes in truth],
    )


def corners(boxes: Floats) -> NDArray[np.float64]:
    """Turn boxes (n, 4) x, y, width, height into x0, y0, x1, y1."""
    boxes = boxes.astype(np.float64).reshape(-1, 4)
    return np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]])


def _called(probability: Floats, truth: Bools) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Films rightly and wrongly called positive at every threshold, from the highest down."""
    order = np.argsort(-probability, kind="stable")
    falling = probability[order]
    last = np.append(np.nonzero(np.diff(falling))[0], len(falling) - 1)
    hits = np.cumsum(truth[order])[last].astype(np.float64)
    return hits, last + 1 - hits


def _midranks(values: Floats) -> NDArray[np.float64]:
    """Ranks from 1; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[inverse], np.float64)


def _delong_covariance(scores: Sequence[Floats], truth: Bools) -> NDArray[np.float64]:
    """Covariance (k, k) of the AUCs of k classifiers on the same films."""
    m, n = int(truth.sum()), int((~truth).sum())
    if m < 2 or n < 2:
        return np.full((len(scores), len(scores)), np.nan)
    above, below = np.empty((len(scores), m)), np.empty((len(scores), n))
    for k, values in enumerate(scores):
        ranks = _midranks(values)
        above[k] = (ranks[truth] - _midranks(values[truth])) / n
        below[k] = 1 - (ranks[~truth] - _midranks(values[~truth])) / m
    return np.asarray(np.atleast_2d(np.cov(above)) / m + np.atleast_2d(np.cov(below)) / n)


def _mean_iou(box: NDArray[np.float64], boxes: Floats) -> float:
    return float(pair_iou(np.broadcast_to(box, (len(boxes), 4)), boxes).mean())


def _climb(box: NDArray[np.float64], boxes: Floats) -> NDArray[np.float64]:
    best = _mean_iou(box, boxes)
    moves = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1],
                      [1, 0, -1, 0], [0, 1, 0, -1]], np.float64)  # fmt: skip
    for step in _STEPS:
        better = True
        while better:
            better = False
            for move in (*moves, *-moves):
                tried = box + step * move
                score = _mean_iou(tried, boxes) if (tried[2:] > 0).all() else -1.0
                if score > best + 1e-12:
                    box, best, better = tried, score, True
    return box
