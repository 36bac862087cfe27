"""Targets and losses of boxes and heat map, in Keras operations for any backend."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from training.networks import STRIDES, decode, locations

CENTRE = 0.6
"""Part of a box, about its centre, whose locations are positive; the rest of it is left out."""
LEVELS = ((0.0, 0.35), (0.22, 4.0))
"""Longest sides of the boxes that each level of the box head stands for, as parts of the input."""
TYPICAL_POSITIVES = 20.0
"""Positive locations of a typical positive film: scales the focal loss, constant for all films."""


def encode(boxes: NDArray[np.floating], size: int) -> NDArray[np.float32]:
    """Make the box head's target for one film.

    Args:
        boxes: (m, 4) x0, y0, x1, y1 in input pixels.
        size: Side of the input in pixels.

    Returns:
        (n, 5): state (1 positive, 0 negative, -1 left out) and the box x0, y0, x1, y1 that the
        location stands for. Where boxes overlap, the smaller one has the location. A box that is
        not for a level is left out there.
    """
    at = locations(size)
    centre = at[:, :2]
    target = np.zeros((len(at), 5), np.float32)
    sides = boxes[:, 2:] - boxes[:, :2]
    for k in np.argsort(-sides.prod(axis=1), kind="stable"):
        box, half = boxes[k], sides[k] / 2
        middle = box[:2] + half
        away = np.abs(centre - middle) / half
        target[(away < 1).all(axis=1) & (target[:, 0] != 1), 0] = -1
        for stride, (least, most) in zip(STRIDES, LEVELS, strict=True):
            if not least <= sides[k].max() / size < most:
                continue
            here = np.flatnonzero(at[:, 2] == stride)
            core = here[(away[here] < CENTRE).all(axis=1)]
            nearest = here[np.abs(centre[here] - middle).sum(axis=1).argmin()]
            core = np.union1d(core, nearest)
            target[core, 0] = 1
            target[core, 1:] = box
    return target


def heat_target(boxes: NDArray[np.floating], size: int) -> NDArray[np.float32]:
    """Make the heat map's target: the part of each cell at stride 16 that boxes cover, (h, w)."""
    edges = np.arange(0, size + 1, STRIDES[0], dtype=np.float32)
    target = np.zeros((len(edges) - 1,) * 2, np.float32)
    for x0, y0, x1, y1 in boxes:
        across, down = (
            np.clip(np.minimum(edges[1:], high) - np.maximum(edges[:-1], low), 0, None) / STRIDES[0]
            for low, high in ((x0, x1), (y0, y1))
        )
        target = np.maximum(target, down[:, None] * across[None, :])
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


@keras.saving.register_keras_serializable("hilum")
class HeatLoss(keras.losses.Loss):  # type: ignore[misc]  # Keras has no types
    """Binary cross-entropy of the heat map's logits, the mean over a film.

    y_true is (B, h, w) as `heat_target` makes it, y_pred the logits (B, h, w).
    """

    def __init__(self) -> None:
        super().__init__(name="heat", reduction="sum_over_batch_size")

    def call(self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
        entropy = ops.relu(y_pred) - y_pred * y_true + ops.softplus(-ops.abs(y_pred))
        return ops.mean(entropy, axis=(1, 2))


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
