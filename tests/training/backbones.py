"""A backbone of a few layers: training is the same on it, and takes a tenth of the time."""

from __future__ import annotations

import keras
from keras import layers

from training.networks import Backbone


def _make(input_shape: tuple[int, int, int], include_top: bool, weights: None) -> keras.Model:
    """Build five strided layers, as `keras.applications` would be called for its own."""
    image = x = layers.Input(input_shape)
    for number, width in enumerate((8, 16, 24, 32, 48), start=1):
        x = layers.Conv2D(width, 3, strides=2, padding="same", name=f"conv_{number}")(x)
        x = layers.BatchNormalization(name=f"bn_{number}")(x)
        x = layers.ReLU(name=f"stride_{2**number}")(x)
    return keras.Model(image, x)


TINY = Backbone(_make, cut="stride_8", fine="stride_16", coarse="stride_32")
