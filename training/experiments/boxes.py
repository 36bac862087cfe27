"""The report's box regressors: one box for every film, whether or not there is anything on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from training.experiments.selection import FILM_SIDE
from training.experiments.transfer import How, assemble
from training.experiments.weights import Start
from training.results.curves import constant_box, pair_iou

Targets = Literal["scaled", "unscaled"]
Boxes = NDArray[np.float32]


def build(name: str, size: int, how: How) -> tuple[keras.Model, Start]:
    """Build a regressor for pictures (B, size, size, 3): gives boxes (B, 4) x, y, width, height.

    Raises:
        SizeError: the backbone takes no pictures this small.
        WeightsError: the weights cannot be had or do not fit.
    """

    def head(features: keras.KerasTensor) -> keras.KerasTensor:
        return layers.Dense(4, dtype="float32", name="box")(features)

    return assemble(name, size, how, head)


def scale_of(targets: Targets, size: int) -> float:
    """Pixels of the network's box to one pixel of the film.

    "unscaled" is the report's mistake: boxes stay in pixels of the film of 1024 though the
    picture is smaller.
    """
    return size / FILM_SIDE if targets == "scaled" else 1.0


def iou(boxes_true: keras.KerasTensor, boxes_found: keras.KerasTensor) -> keras.KerasTensor:
    """IoU (B,) of each true box with the one found, both (B, 4) x, y, width, height.

    A box of negative width or height is empty. On tensors of any backend; a Keras metric takes its
    mean over films.
    """
    true, found = ops.cast(boxes_true, "float32"), ops.cast(boxes_found, "float32")
    low = ops.maximum(true[:, :2], found[:, :2])
    high = ops.minimum(true[:, :2] + true[:, 2:], found[:, :2] + found[:, 2:])
    shared = ops.prod(ops.maximum(high - low, 0.0), axis=1)
    areas = [ops.prod(ops.maximum(boxes[:, 2:], 0.0), axis=1) for boxes in (true, found)]
    union = areas[0] + areas[1] - shared
    return ops.where(union > 0, shared / ops.maximum(union, 1e-9), 0.0)


def constant_baseline(
    train: Boxes, others: Mapping[str, Boxes]
) -> tuple[NDArray[np.float64], dict[str, float]]:
    """The one box (4,) that fits the training boxes best, and its mean IoU with other boxes.

    What a regressor has to beat: whoever draws it has looked at no film.
    """
    box = constant_box(train)
    return box, {
        name: float(pair_iou(np.broadcast_to(box, boxes.shape), boxes).mean())
        for name, boxes in others.items()
    }
