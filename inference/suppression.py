"""Candidates of the box head become boxes: one function for both runtimes and for evaluation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inference.manifest import Suppression

Corners = NDArray[np.float32]

VOICE = 0.5
"""Part of a box's score from which on another candidate may have a say in its edges."""


def suppress(
    corners: Corners, scores: NDArray[np.float32], opacity: float, rule: Suppression
) -> tuple[Corners, NDArray[np.float32]]:
    """Keep the candidates that stand for one opacity each, by falling score.

    Args:
        corners: (n, 4) x0, y0, x1, y1 of the candidates, in any pixels.
        scores: (n,) the detector's scores, 0 to 1.
        opacity: The film's calibrated probability of opacity, 0 to 1.
        rule: Thresholds and how scores and sizes are altered.

    Returns:
        (m, 4) corners and (m,) scores, m <= rule.most. Greedy non-maximum suppression: a box goes
        when its IoU with a better one is greater than `rule.iou`. Edges are then moved by those
        that have a say (box voting, Gidaris and Komodakis 2015), and sizes to the typical one.
    """
    scores = (scores * np.float32(opacity)) if rule.times_opacity else scores
    possible = (scores > 0) & (corners[:, 2:] > corners[:, :2]).all(axis=1)
    corners, scores = corners[possible], scores[possible]
    everyone = corners, scores
    corners, scores = corners[scores >= rule.score], scores[scores >= rule.score]
    order = np.argsort(-scores, kind="stable")
    corners, scores = corners[order], scores[order]
    left = scores >= rule.relative_score * scores.max(initial=0)
    kept: list[int] = []
    while left.any() and len(kept) < rule.most:
        best = int(left.argmax())
        kept.append(best)
        left &= iou(corners[best : best + 1], corners)[0] <= rule.iou
        left[best] = False
    corners, scores = corners[kept], scores[kept]
    if rule.vote < 1:
        corners = _vote(corners, scores, *everyone, rule.vote)
    if rule.typical_weight > 0:
        corners = _towards(corners, rule.typical, rule.typical_weight)
    return shrink(corners, rule.shrink), scores


def _vote(
    corners: Corners,
    scores: NDArray[np.float32],
    candidates: Corners,
    their_scores: NDArray[np.float32],
    least: float,
) -> Corners:
    """Move each box to the mean of the candidates about it, weighed by their squared scores.

    Candidates count from an IoU of `least` and half the box's score on.
    """
    near = iou(corners, candidates) >= least
    strong = their_scores[None, :] >= VOICE * scores[:, None]
    weights = (near & strong) * their_scores[None, :].astype(np.float64) ** 2
    return np.asarray(weights @ candidates / weights.sum(axis=1, keepdims=True), np.float32)


def _towards(corners: Corners, typical: tuple[float, float], weight: float) -> Corners:
    """Draw sizes to the typical one: the weighted geometric mean of both, about the centre."""
    centre = (corners[:, :2] + corners[:, 2:]) / 2
    sides = (corners[:, 2:] - corners[:, :2]) ** (1 - weight) * np.array(typical) ** weight
    return np.hstack([centre - sides / 2, centre + sides / 2]).astype(np.float32)


def shrink(corners: Corners, factor: float) -> Corners:
    """Scale boxes about their centres; `corners` is (n, 4) x0, y0, x1, y1."""
    centre = (corners[:, :2] + corners[:, 2:]) / 2
    half = (corners[:, 2:] - corners[:, :2]) / 2 * np.float32(factor)
    return np.hstack([centre - half, centre + half]).astype(np.float32)


def iou(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.float64]:
    """Intersection over union of every box of `a` (n, 4) with every box of `b` (m, 4): (n, m)."""
    low = np.maximum(a[:, None, :2], b[None, :, :2]).astype(np.float64)
    high = np.minimum(a[:, None, 2:], b[None, :, 2:]).astype(np.float64)
    shared = np.clip(high - low, 0, None).prod(axis=2)
    area_a = np.clip(a[:, 2:] - a[:, :2], 0, None).prod(axis=1).astype(np.float64)
    area_b = np.clip(b[:, 2:] - b[:, :2], 0, None).prod(axis=1).astype(np.float64)
    union = area_a[:, None] + area_b[None, :] - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))
