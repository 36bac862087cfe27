"""The report's four CNNs, written down as stacks of layers; Keras 3, for any backend.

The report prints parameter totals, not layers. The stacks of `model`, `model_2a`, `model_3` and
the extended `model_3` have exactly those totals; that of `model_2` is chosen, see `STACKS`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import keras
import numpy as np
from keras import layers

CLASSES = 2
"""Outputs of every classifier: no opacity, opacity."""
L2 = 1e-5
"""Weight decay of the dense layers in the extended networks."""

Norm = Literal["none", "last", "each"]


class SizeError(ValueError):
    """A network cannot take pictures this small; the message says from which size on it can."""


@dataclass(frozen=True, slots=True)
class Block:
    """`convolutions` of `filters` with `kernel` and ReLU, then pooling.

    `norm` is where batch normalisation stands: after each convolution, after the last, nowhere.
    """

    filters: int
    convolutions: int = 1
    kernel: int = 3
    norm: Norm = "none"


@dataclass(frozen=True, slots=True)
class Stack:
    """Blocks of convolutions, then dense layers with ReLU, then two softmax outputs.

    Each block ends in max pooling of `pool` pixels with stride 2, never padded; `padding` is that
    of the convolutions.
    """

    blocks: tuple[Block, ...]
    dense: tuple[int, ...]
    padding: Literal["same", "valid"] = "same"
    pool: int = 2
    global_pooling: bool = False
    l2: float = 0.0


STACKS: dict[str, Stack] = {
    "model": Stack(
        (Block(16, 1, 7), Block(32, 1, 3, "last"), Block(64, 1, 3, "last"), Block(128), Block(256)),
        (1024, 512, 128, 32),
    ),
    # Chosen: between `model` (single convolutions, "same") and `model_2a` (double ones at the
    # start, normalised four times).
    "model_2": Stack(
        (
            Block(32, 2, 3, "last"),
            Block(64, 1, 3, "last"),
            Block(128, 1, 3, "last"),
            Block(256, 1, 3, "last"),
            Block(256),
        ),
        (512, 128),
    ),
    "model_2a": Stack(
        (
            Block(32, 2, 3, "last"),
            Block(64, 1, 3, "last"),
            Block(128, 1, 3, "last"),
            Block(256, 1, 3, "last"),
            Block(512, 2),
        ),
        (512, 512),
        padding="valid",
    ),
    "model_3": Stack(
        (
            Block(32, 2, 3, "each"),
            Block(64, 2, 3, "last"),
            Block(128, 2),
            Block(256),
            Block(512, 2),
        ),
        (512, 32, 30),
        global_pooling=True,
    ),
}

_EXTENDED_MODEL_3 = Stack(
    (
        Block(32, 2, 5, "last"),
        Block(64, 2, 3, "last"),
        Block(128, 2, 3, "last"),
        Block(256, 2, 3, "last"),
        Block(256, 2),
    ),
    (4096, 400, 100, 50),
    pool=3,
    l2=L2,
)


def stack(name: str, *, extended: bool = False) -> Stack:
    """Return the layers of one of the four, by its name in the report.

    `extended` is the form of the report's last runs ("more layers, regularisers, strides,
    padding"). Only that of `model_3` is known by its total. The others are chosen: "same", pooling
    3 with stride 2, one more dense layer, L2 on dense layers.
    """
    plain = STACKS[name]
    if not extended:
        return plain
    if name == "model_3":
        return _EXTENDED_MODEL_3
    more = (*plain.dense, plain.dense[-1] // 2)
    return replace(plain, dense=more, padding="same", pool=3, l2=L2)


def build(name: str, size: int, *, extended: bool = False) -> keras.Model:
    """Build one of the four for pictures (B, size, size, 3) of 0 to 255; gives (B, 2) softmax.

    Raises:
        SizeError: the pictures are too small for the pooling.
    """
    return assemble(stack(name, extended=extended), size, name)


def assemble(made_of: Stack, size: int, name: str) -> keras.Model:
    """Build the network of a stack; see `build`."""
    smallest = smallest_size(made_of)
    if size < smallest:
        raise SizeError(f"{name} takes pictures of {smallest} pixels or more, not {size}")
    image = layers.Input((size, size, 3), dtype="uint8", name="image")
    x = layers.Rescaling(1 / 255, name="scale")(image)
    for block in made_of.blocks:
        x = _block(x, block, made_of)
    pooling = layers.GlobalAveragePooling2D if made_of.global_pooling else layers.Flatten
    x = pooling()(x)
    decay = keras.regularizers.L2(made_of.l2) if made_of.l2 else None
    for units in made_of.dense:
        x = layers.Dense(units, activation="relu", kernel_regularizer=decay)(x)
    return keras.Model(image, class_head(x), name=name)


def class_head(features: keras.KerasTensor) -> keras.KerasTensor:
    """Two softmax outputs, in full precision whatever the policy is."""
    return layers.Dense(CLASSES, activation="softmax", dtype="float32", name="opacity")(features)


def smallest_size(made_of: Stack) -> int:
    """The smallest picture's side, in pixels, that the pooling leaves a pixel of."""
    return next(size for size in range(1, 4096) if _side_after(made_of, size) >= 1)


def parameters(model: keras.Model) -> dict[str, int]:
    """Count a model's parameters: "total", "trainable" and "fixed" ones, as Keras's summary does.

    The fixed ones are batch normalisation's statistics, and what was frozen.
    """
    trainable, fixed = (
        sum(int(np.prod(weight.shape)) for weight in weights)
        for weights in (model.trainable_weights, model.non_trainable_weights)
    )
    return {"total": trainable + fixed, "trainable": trainable, "fixed": fixed}


def _block(x: keras.KerasTensor, block: Block, made_of: Stack) -> keras.KerasTensor:
    for number in range(1, block.convolutions + 1):
        x = layers.Conv2D(block.filters, block.kernel, padding=made_of.padding, activation="relu")(
            x
        )
        if block.norm == "each" or (block.norm == "last" and number == block.convolutions):
            x = layers.BatchNormalization()(x)
    return layers.MaxPooling2D(made_of.pool, 2)(x)


def _side_after(made_of: Stack, side: int) -> int:
    for block in made_of.blocks:
        if made_of.padding == "valid":
            side -= block.convolutions * (block.kernel - 1)
        side = (side - made_of.pool) // 2 + 1
        if side < 1:
            return 0
    return side
