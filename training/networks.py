"""The network, in Keras 3 for any backend: what is trained, and the one forward pass exported.

MobileNetV2 features (Sandler et al. 2018) carry a head for the three RSNA classes and an
anchor-free box head at stride 16 (after FCOS, Tian et al. 2019). The backbone is cut in two, so
that its first part, which stays frozen, can be run once per film and augmentation.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

JIT = keras.backend.backend() != "tensorflow"
"""Whether Keras compiles by XLA: under TensorFlow on a CPU, depthwise convolutions then take more
than ten times as long."""
STRIDE = 16
"""Pixels of the input per location of the box head, in both directions."""
CUT = "block_12_add"
"""The last frozen layer: stride 16, 96 channels."""
FINE = "block_13_expand_relu"
"""The backbone's finest features that the heads use: stride 16, 576 channels."""
COARSE = "block_16_project_BN"
"""The backbone's last layer used: stride 32, 320 channels."""
REACH = 4 * STRIDE
"""Pixels between a location and a box's edge where the box head gives 0."""
OPACITY_PRIOR = 0.02
"""What the box head gives at every location before training (Lin et al. 2017, section 4.1)."""


@dataclass(frozen=True, slots=True)
class Network:
    """The trainable parts.

    `stem`: uint8 (B, S, S, 1) to the features at `CUT`. `heads`: those features to
    {"logits": (B, 3), "cells": (B, n, 5)}, n locations in row order, each a logit of opacity and
    the log distances to the box's left, top, right and bottom edge (see `decode`).
    """

    size: int
    stem: keras.Model
    heads: keras.Model


def build(size: int, weights: Path | None, *, seed: int, width: int = 96) -> Network:
    """Build the network for square inputs of `size` pixels, a multiple of 32.

    `weights` is a file for `MobileNetV2(weights=None, include_top=False)`; None starts at random.
    Batch normalisation inside the backbone stays frozen: published weights may have it folded.
    """
    keras.utils.set_random_seed(seed)
    net = keras.applications.MobileNetV2(
        input_shape=(size, size, 3), include_top=False, weights=None
    )
    if weights is not None:
        net.load_weights(weights)
    else:
        _scale_for_relu(net, np.random.default_rng(seed))
    image = layers.Input((size, size, 1), dtype="uint8", name="image")
    scaled = layers.Rescaling(1 / 127.5, offset=-1.0)(image)
    colour = layers.Concatenate()([scaled, scaled, scaled])
    cut = net.get_layer(CUT).output
    first = keras.Model(net.input, cut, name="backbone_first")
    second = keras.Model(
        cut, [net.get_layer(FINE).output, net.get_layer(COARSE).output], name="backbone_second"
    )
    first.trainable = False
    for layer in second.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.trainable = False
    stem = keras.Model(image, first(colour), name="stem")
    stem.jit_compile = JIT
    return Network(size, stem, _heads(second, tuple(cut.shape[1:]), width))


def _scale_for_relu(net: keras.Model, rng: np.random.Generator) -> None:
    """Draw kernels so that signals keep their size without normalisation (He et al. 2015)."""
    for layer in net.layers:
        if isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D):
            kernel, *rest = layer.get_weights()
            depthwise = isinstance(layer, layers.DepthwiseConv2D)
            inputs = np.prod(kernel.shape[: 2 if depthwise else 3])
            layer.set_weights([rng.normal(0, np.sqrt(2 / inputs), kernel.shape), *rest])


def _heads(second: keras.Model, shape: tuple[int, ...], width: int) -> keras.Model:
    features = layers.Input(shape, name="features")
    fine, coarse = second(features)

    def unit(x: keras.KerasTensor, name: str, *, kernel: int = 1) -> keras.KerasTensor:
        make = layers.Conv2D if kernel == 1 else layers.SeparableConv2D
        x = make(width, kernel, padding="same", use_bias=False, name=f"{name}_conv")(x)
        return layers.ReLU(name=f"{name}_relu")(layers.BatchNormalization(name=f"{name}_bn")(x))

    top = unit(coarse, "coarse")
    merged = layers.Add(name="merge")(
        [unit(fine, "fine"), layers.UpSampling2D(2, interpolation="nearest")(top)]
    )
    local = unit(unit(merged, "local_1", kernel=3), "local_2", kernel=3)
    prior = keras.initializers.Constant(float(np.log(OPACITY_PRIOR / (1 - OPACITY_PRIOR))))
    opacity = layers.Conv2D(1, 1, bias_initializer=prior, name="opacity")(local)
    edges = layers.Conv2D(4, 1, name="edges")(local)
    cells = layers.Concatenate(name="cells_2d")([opacity, edges])
    cells = layers.Reshape((-1, 5), name="cells")(cells)

    # The class head sees the film as a whole and how sure the box head is where it is surest.
    pooled = layers.Concatenate(name="film")(
        [
            layers.GlobalAveragePooling2D()(top),
            layers.GlobalMaxPooling2D()(top),
            layers.GlobalAveragePooling2D()(local),
            layers.GlobalMaxPooling2D()(opacity),
        ]
    )
    logits = layers.Dense(3, name="logits")(layers.Dropout(0.4)(pooled))
    return keras.Model(features, {"logits": logits, "cells": cells}, name="heads")


def locations(size: int) -> NDArray[np.float32]:
    """Return the centres of the box head's cells: (n, 2) x, y in input pixels, in row order."""
    axis = (np.arange(size // STRIDE, dtype=np.float32) + 0.5) * STRIDE
    x, y = np.meshgrid(axis, axis)
    return np.stack([x.ravel(), y.ravel()], axis=1)


def decode(cells: keras.KerasTensor, size: int) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Turn cells (B, n, 5) into boxes (B, n, 4) x0, y0, x1, y1 in input pixels and scores (B, n).

    Works on tensors of any backend and on symbolic ones.
    """
    centre = locations(size)[None]
    reach = ops.exp(ops.clip(cells[:, :, 1:], -4.0, 3.0)) * REACH
    low, high = ops.subtract(centre, reach[:, :, :2]), ops.add(centre, reach[:, :, 2:])
    boxes = ops.clip(ops.concatenate([low, high], axis=-1), 0.0, float(size))
    return boxes, ops.sigmoid(cells[:, :, 0])


def whole(network: Network) -> keras.Model:
    """Join the parts to the exported network.

    uint8 (B, S, S, 1) to {"logits": (B, 3), "boxes": (B, n, 4), "scores": (B, n)}.
    """
    image = layers.Input((network.size, network.size, 1), dtype="uint8", name="image")
    found = network.heads(network.stem(image))
    boxes, scores = decode(found["cells"], network.size)
    return keras.Model(
        image, {"logits": found["logits"], "boxes": boxes, "scores": scores}, name="hilum"
    )
