"""Curves behind the figures: ROC, precision and recall, FROC, reliability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training import metrics
from training.evaluation.case import Case, corners_of, scores_of

Floats = NDArray[np.float64]
FROC_RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""False boxes a film at which FROC's sensitivity is told."""
FROC_IOU = 0.40
"""A box finds a true one if their IoU is greater: the challenge's least threshold."""
BINS = 10


@dataclass(frozen=True, slots=True)
class Curve:
    """Points of a curve, in drawing order."""

    x: Floats
    y: Floats


@dataclass(frozen=True, slots=True)
class Bin:
    """Films with similar probabilities: how many, their mean probability, and what came true.

    `low` and `high` are the 95 % interval of the frequency (Wilson 1927).
    """

    films: int
    probability: float
    frequency: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Found:
    """Every candidate box of n films: by falling score its film, and whether it found a true box.

    `last` marks the last of equal scores, where a threshold can lie; `boxes` (n,) is how many true
    boxes each film has.
    """

    film: NDArray[np.intp]
    score: Floats
    hit: NDArray[np.bool_]
    last: NDArray[np.bool_]
    boxes: NDArray[np.intp]


def roc(scores: Floats, truth: NDArray[np.bool_]) -> Curve:
    """False positive rate against sensitivity."""
    _, which = np.unique(scores, return_inverse=True)
    called = np.bincount(which)[::-1]
    right = np.bincount(which, weights=truth)[::-1]
    false = np.cumsum(called - right) / max((~truth).sum(), 1)
    true = np.cumsum(right) / max(truth.sum(), 1)
    return Curve(np.concatenate([[0.0], false]), np.concatenate([[0.0], true]))


def precision_recall(scores: Floats, truth: NDArray[np.bool_]) -> Curve:
    """Recall against precision."""
    _, precision, recall = metrics.precision_recall(scores, truth)
    return Curve(recall, precision)


def reliability(probability: Floats, truth: NDArray[np.bool_]) -> tuple[Bin, ...]:
    """Ten bins of equally many films, by rising probability."""
    parts = np.array_split(np.argsort(probability, kind="stable"), min(BINS, len(truth)))
    return tuple(_bin(probability[part], truth[part]) for part in parts if len(part))


def find_boxes(cases: Sequence[Case]) -> Found:
    """Match candidates with true boxes, film by film; of films whose boxes are known."""
    film, score, hit = [], [], []
    for number, case in enumerate(cases):
        sure = scores_of(case.candidates)
        corners = corners_of(case.candidates)
        film.append(np.full(len(sure), number, np.intp))
        score.append(sure)
        hit.append(metrics.hits(corners, sure, corners_of(case.truth or ()), FROC_IOU))
    scores = np.concatenate([np.zeros(0), *score])
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    return Found(
        film=np.concatenate([np.zeros(0, np.intp), *film])[order],
        score=ranked,
        hit=np.concatenate([np.zeros(0, bool), *hit])[order],
        last=np.append(ranked[1:] != ranked[:-1], True)[: len(ranked)],
        boxes=np.array([len(case.truth or ()) for case in cases], np.intp),
    )


def froc(found: Found, films: NDArray[np.intp] | None = None) -> Curve:
    """False boxes a film against the share of true boxes found.

    `films` are the films to count, with repetitions; None: each once.
    """
    n = len(found.boxes)
    weights = np.ones(n) if films is None else np.bincount(films, minlength=n).astype(np.float64)
    here = weights[found.film]
    total, boxes = weights.sum(), float((weights * found.boxes).sum())
    false = np.cumsum(here * ~found.hit)[found.last] / max(total, 1)
    true = np.cumsum(here * found.hit)[found.last] / boxes if boxes else np.zeros(len(false))
    return Curve(np.concatenate([[0.0], false]), np.concatenate([[0.0], true]))


def sensitivity_at(curve: Curve, rate: float) -> float:
    """The greatest share of true boxes found at no more than `rate` false boxes a film."""
    return float(curve.y[curve.x <= rate + 1e-12].max(initial=0.0))


def _bin(probability: Floats, truth: NDArray[np.bool_]) -> Bin:
    share = float(truth.mean())
    low, high = metrics.wilson(share, len(truth))
    return Bin(len(truth), float(probability.mean()), share, low, high)
