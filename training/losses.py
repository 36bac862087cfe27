"""Targets and losses of the two heads, in Keras operations for any backend."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from training.networks import decode, locations

CENTRE = 0.6
"""Part of a box, about its centre, whose locations are positive; the rest of it is left out."""
TYPICAL_POSITIVES = 20.0
"""Positive locations of a typical positive film: scales the focal loss, constant for all films."""


def encode(boxes: NDArray[np.floating], size: int) -> NDArray[np.float32]:
    """Make the box head's target for one film.

    Args:
        boxes: (m, 4) x0, y0, x1, y1 in input pixels.
        size: Side of the input in pixels.

    Returns:
        (n, 5): state (1 positive, 0 negative, -1 left out) and the box x0, y0, x1, y1 that the
        location stands for. Where boxes overlap, the smaller one has the location.
    """
    centre = locations(size)
    target = np.zeros((len(centre), 5), np.float32)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    for box in boxes[np.argsort(-areas, kind="stable")]:
        middle, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
        away = np.abs(centre - middle) / half
        inside = (away < 1).all(axis=1)
        core = (away < CENTRE).all(axis=1)
        core[np.abs(centre - middle).sum(axis=1).argmin()] = True
        target[inside & (target[:, 0] != 1), 0] = -1
        target[core, 0] = 1
        target[core, 1:] = box
    return target


@keras.saving.register_keras_serializable("hilum")
class CellLoss(keras.losses.Loss):  # type: ignore[misc]  # Keras has no types
    """Focal loss (Lin et al. 2017) of opacity and GIoU loss (Rezatofighi et al. 2019) of edges.

    y_true is (B, n, 5) as `encode` makes it, y_pred the cells (B, n, 5); the value is per film, so
    that a film whose boxes are unknown can be given the weight 0.
    """

    def __init__(self, size: int, *, alpha: float = 0.25, gamma: float = 2.0) -> None:
        super().__init__(name="cells", reduction="sum_over_batch_size")
        self.size, self.alpha, self.gamma = size, alpha, gamma

    def call(self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
        state = y_true[:, :, 0]
        positive = ops.cast(state > 0.5, "float32")
        counted = ops.cast(state > -0.5, "float32")
        logit = y_pred[:, :, 0]
        chance = ops.sigmoid(logit)
        entropy = ops.relu(logit) - logit * positive + ops.softplus(-ops.abs(logit))
        right = chance * positive + (1 - chance) * (1 - positive)
        weight = self.alpha * positive + (1 - self.alpha) * (1 - positive)
        focal = counted * weight * (1 - right) ** self.gamma * entropy
        boxes, _ = decode(y_pred, self.size)
        edges = positive * (1 - _giou(boxes, y_true[:, :, 1:]))
        count = ops.maximum(ops.sum(positive, axis=1), 1.0)
        return ops.sum(focal, axis=1) / TYPICAL_POSITIVES + ops.sum(edges, axis=1) / count

    def get_config(self) -> dict[str, object]:
        return {"size": self.size, "alpha": self.alpha, "gamma": self.gamma}


def _giou(a: keras.KerasTensor, b: keras.KerasTensor) -> keras.KerasTensor:
    """Generalised IoU of boxes (..., 4) x0, y0, x1, y1, pair by pair."""
    low, high = ops.maximum(a[..., :2], b[..., :2]), ops.minimum(a[..., 2:], b[..., 2:])
    shared = ops.prod(ops.relu(high - low), axis=-1)
    union = (
        ops.prod(ops.relu(a[..., 2:] - a[..., :2]), axis=-1)
        + ops.prod(ops.relu(b[..., 2:] - b[..., :2]), axis=-1)
        - shared
    )
    low, high = ops.minimum(a[..., :2], b[..., :2]), ops.maximum(a[..., 2:], b[..., 2:])
    hull = ops.prod(ops.relu(high - low), axis=-1)
    return shared / (union + 1e-6) - (hull - union) / (hull + 1e-6)
