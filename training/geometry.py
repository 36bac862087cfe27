"""Boxes under affine moves of the film."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_THIRDS = np.array(
    [(u, v) for u in (1 / 3, 2 / 3) for v in (0, 1)]
    + [(u, v) for u in (0, 1) for v in (1 / 3, 2 / 3)]
)
"""Points on a unit box's edges at their thirds."""


def move_boxes(boxes: NDArray[np.floating], matrix: NDArray[np.floating]) -> NDArray[np.float32]:
    """Move boxes (n, 4) x0, y0, x1, y1 by an affine matrix (2, 3); upright boxes come back.

    The new edges go through the thirds of the old ones, not through the corners, which would
    enlarge the box under rotation although opacities are rarely square.
    """
    if len(boxes) == 0:
        return np.zeros((0, 4), np.float32)
    low, extent = boxes[:, None, :2], boxes[:, None, 2:] - boxes[:, None, :2]
    points = low + _THIRDS * extent
    moved = points @ matrix[:, :2].T + matrix[:, 2]
    return np.concatenate([moved.min(axis=1), moved.max(axis=1)], axis=1).astype(np.float32)
