"""Networks of a few hundred parameters in place of the report's, to test what is around them."""

from __future__ import annotations

import keras
import pytest
from keras import layers

from training.experiments import networks, transfer
from training.experiments.networks import Block, Stack

STACK = Stack((Block(4, 1, 3, "last"), Block(6)), (5,))
TOTAL = (3 * 9 + 1) * 4 + 4 * 4 + (4 * 9 + 1) * 6 + (8 * 8 * 6 + 1) * 5 + (5 + 1) * 2
"""Parameters of `STACK` on pictures of 32 pixels: two convolutions, their normalisation, dense."""
FIXED = 2 * 4


def backbone(
    input_shape: tuple[int, int, int], include_top: bool, weights: str | None, pooling: str
) -> keras.Model:
    """Stand in for one of `keras.applications`."""
    assert (include_top, weights, pooling) == (False, None, "avg")
    image = layers.Input(input_shape)
    x = layers.Conv2D(6, 3, strides=2, activation="relu", name="conv_a")(image)
    x = layers.BatchNormalization(name="bn_a")(x)
    return keras.Model(image, layers.GlobalAveragePooling2D()(x), name="tiny")


def use(patch: pytest.MonkeyPatch) -> None:
    """Put the tiny networks in their place."""
    patch.setitem(networks.STACKS, "model_3", STACK)
    patch.setitem(transfer.BACKBONES, "mobilenet", transfer.Backbone(backbone, 32, "tf"))
