"""Candidates of the box head become boxes: one function for both runtimes and for evaluation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inference.bundle import Suppression

Corners = NDArray[np.float32]


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
        when its IoU with a better one is greater than `rule.iou`.
    """
    scores = (scores * np.float32(opacity)) if rule.times_opacity else scores
    possible = (scores >= rule.score) & (corners[:, 2:] > corners[:, :2]).all(axis=1)
    corners, scores = corners[possible], scores[possible]
    order = np.argsort(-scores, kind="stable")
    corners, scores = corners[order], scores[order]
    left = scores >= rule.relative_score * scores.max(initial=0)
    kept: list[int] = []
    while left.any() and len(kept) < rule.most:
        best = int(left.argmax())
        kept.append(best)
        left &= iou(corners[best : best + 1], corners)[0] <= rule.iou
        left[best] = False
    return shrink(corners[kept], rule.shrink), scores[kept]


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
