"""The network, in Keras 3 for any backend: what is trained, and the one forward pass exported.

A backbone of `keras.applications` gives features at strides 16 and 32. On both, joined as in a
feature pyramid (Lin et al. 2017), stands an anchor-free box head (after FCOS, Tian et al. 2019); a
heat map of opacity and a head for the three RSNA classes read the same features. The backbone is
cut in two, so that its first part, which stays frozen, can be run once per film and augmentation.
A film is read as it is and mirrored, and what is said of both counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

JIT = keras.backend.backend() != "tensorflow"
"""Whether Keras compiles by XLA: under TensorFlow on a CPU, depthwise convolutions then take more
than ten times as long."""
STRIDES = (16, 32)
"""Pixels of the input per location of the box head, level by level."""
REACH = 4
"""Distance, in strides, between a location and a box's edge where the box head gives 0."""
OPACITY_PRIOR = 0.02
"""What the box head gives at every location before training (Lin et al. 2017, section 4.1)."""

Size = Literal["small", "large"]
Precision = Literal["float32", "mixed_float16", "mixed_bfloat16"]


@dataclass(frozen=True, slots=True)
class Backbone:
    """A network of `keras.applications` and where it is tapped.

    `fine` (stride 16) and `coarse` (stride 32) name the layers whose features the heads read, `cut`
    the last layer that stays frozen where the backbone's end is trained too. Inputs are scaled to
    -1 to 1.
    """

    make: Callable[..., keras.Model]
    cut: str
    fine: str
    coarse: str


BACKBONES: dict[Size, Backbone] = {
    "small": Backbone(
        keras.applications.MobileNetV2,
        cut="block_5_add",
        fine="block_12_add",
        coarse="block_16_project_BN",
    ),
    "large": Backbone(
        lambda **how: keras.applications.EfficientNetV2S(include_preprocessing=False, **how),
        cut="block4f_add",
        fine="block5i_add",
        coarse="top_activation",
    ),
}


@dataclass(frozen=True, slots=True)
class Network:
    """The parts.

    `stem`: uint8 (B, S, S, 1) to one or two feature maps, frozen. `heads`: a list of those feature
    maps to {"logits": (B, 3), "cells": (B, n, 5), "heat": (B, S/16, S/16)}: of n locations (see
    `locations`) each a logit of opacity and the log distances to the box's left, top, right and
    bottom edge (see `decode`); the heat map in logits. `trunk`: from the stem's first feature map
    to the backbone's features at stride 16 as they were before any training, which tell what kind
    of picture a film is; None where the stem's first are these.
    """

    size: int
    stem: keras.Model
    heads: keras.Model
    trunk: keras.Model | None = None

    def kinds_stem(self) -> keras.Model:
        """Return the frozen part that a head for kinds reads: uint8 (B, S, S, 1) to features."""
        features = self.stem.outputs[0]
        return keras.Model(
            self.stem.inputs, [self.trunk(features) if self.trunk is not None else features]
        )


def build(
    size: int,
    weights: Path | None,
    *,
    seed: int,
    backbone: Backbone = BACKBONES["small"],
    tune: bool = False,
    width: int = 64,
    precision: Precision = "float32",
) -> Network:
    """Build the network for square inputs of `size` pixels, a multiple of 32.

    Args:
        size: Side of the input in pixels.
        weights: File of the backbone's weights without its top; None starts at random.
        seed: Seed of all weights that are drawn.
        backbone: What to build on.
        tune: Leave the backbone's end, after its cut, to training; its batch normalisation stays
            frozen, for published weights may have it folded. Else all of it is frozen.
        width: Channels of the heads.
        precision: Number format that layers compute in; weights and outputs are float32 always.
    """
    keras.utils.set_random_seed(seed)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        return _build(size, weights, seed, backbone, tune, width)
    finally:
        keras.config.set_dtype_policy(before)


def _build(
    size: int, weights: Path | None, seed: int, backbone: Backbone, tune: bool, width: int
) -> Network:
    net = backbone.make(input_shape=(size, size, 3), include_top=False, weights=None)
    if weights is not None:
        net.load_weights(weights)
    else:
        _scale_for_relu(net, np.random.default_rng(seed))
    tapped = [net.get_layer(backbone.fine).output, net.get_layer(backbone.coarse).output]
    split = [net.get_layer(backbone.cut).output] if tune else tapped
    image = layers.Input((size, size, 1), dtype="uint8", name="image")
    scaled = layers.Rescaling(1 / 127.5, offset=-1.0)(image)
    first = keras.Model(net.input, split, name="backbone_first")
    first.trainable = False
    found = first(layers.Concatenate()([scaled, scaled, scaled]))
    stem = keras.Model(image, found if isinstance(found, list) else [found], name="stem")
    stem.jit_compile = JIT
    inputs = [
        layers.Input(tuple(tensor.shape[1:]), name=f"features_{k}")
        for k, tensor in enumerate(split)
    ]
    features: Sequence[keras.KerasTensor] = inputs
    trunk = None
    if tune:
        trunk = _untouched(net, backbone)
        # The fine features may be the cut itself, which a model cannot give back.
        later = tapped[1:] if backbone.fine == backbone.cut else tapped
        second = keras.Model(split, later, name="backbone_second")
        for layer in second.layers:
            if isinstance(layer, layers.BatchNormalization):
                layer.trainable = False
        found = second(inputs)
        features = [*inputs, *found] if len(later) == 1 else found
    return Network(size, stem, _heads(inputs, features, width), trunk)


def _untouched(net: keras.Model, backbone: Backbone) -> keras.Model | None:
    """Copy the layers between the cut and the fine features, weights too, to stay frozen."""
    if backbone.fine == backbone.cut:
        return None
    part = keras.Model(
        net.get_layer(backbone.cut).output, net.get_layer(backbone.fine).output, name="trunk"
    )
    trunk = keras.models.clone_model(part)
    trunk.set_weights(part.get_weights())
    trunk.trainable = False
    return trunk


def _scale_for_relu(net: keras.Model, rng: np.random.Generator) -> None:
    """Draw kernels so that signals keep their size without normalisation (He et al. 2015)."""
    for layer in net.layers:
        if isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D):
            kernel, *rest = layer.get_weights()
            depthwise = isinstance(layer, layers.DepthwiseConv2D)
            inputs = np.prod(kernel.shape[: 2 if depthwise else 3])
            layer.set_weights([rng.normal(0, np.sqrt(2 / inputs), kernel.shape), *rest])


def _heads(
    inputs: Sequence[keras.KerasTensor], features: Sequence[keras.KerasTensor], width: int
) -> keras.Model:
    fine, coarse = features

    def unit(x: keras.KerasTensor, name: str, *, kernel: int = 1) -> keras.KerasTensor:
        make = layers.Conv2D if kernel == 1 else layers.SeparableConv2D
        x = make(width, kernel, padding="same", use_bias=False, name=f"{name}_conv")(x)
        return layers.ReLU(name=f"{name}_relu")(
            layers.BatchNormalization(momentum=0.9, name=f"{name}_bn")(x)
        )

    top = unit(coarse, "coarse")
    merged = layers.Add(name="merge")(
        [unit(fine, "fine"), layers.UpSampling2D(2, interpolation="nearest")(top)]
    )
    prior = keras.initializers.Constant(float(np.log(OPACITY_PRIOR / (1 - OPACITY_PRIOR))))
    towers, cells = [], []
    for stride, level in zip(STRIDES, (merged, top), strict=True):
        tower = unit(unit(level, f"tower_{stride}_1", kernel=3), f"tower_{stride}_2", kernel=3)
        opacity = layers.Conv2D(1, 1, bias_initializer=prior, name=f"opacity_{stride}")(tower)
        edges = layers.Conv2D(4, 1, name=f"edges_{stride}")(tower)
        joined = layers.Concatenate(name=f"cells_{stride}_2d")([opacity, edges])
        towers.append(tower)
        cells.append(layers.Reshape((-1, 5), name=f"cells_{stride}")(joined))
    heat = layers.Conv2D(1, 1, bias_initializer=prior, name="heat_2d")(towers[0])

    # The class head sees the film as a whole, what is where attention rests, and how hot the heat
    # map is; it does not bend the heat map to its own wishes.
    attention = layers.Softmax(axis=1, name="attention")(
        layers.Reshape((-1, 1))(layers.Conv2D(1, 1, name="attention_logit")(towers[0]))
    )
    attended = layers.Dot(axes=1, name="attended")(
        [layers.Reshape((-1, width))(towers[0]), attention]
    )
    told = HeatFigures(name="heat_figures")(heat)
    pooled = layers.Concatenate(name="film")(
        [layers.GlobalAveragePooling2D()(top), layers.Flatten()(attended), told]
    )
    logits = layers.Dense(3, name="class_logits", dtype="float32")(layers.Dropout(0.5)(pooled))
    return keras.Model(
        list(inputs),
        {
            "logits": logits,
            "cells": layers.Concatenate(axis=1, name="cells", dtype="float32")(cells),
            "heat": layers.Reshape(heat.shape[1:3], name="heat", dtype="float32")(heat),
        },
        name="heads",
    )


@keras.saving.register_keras_serializable("hilum")
class HeatFigures(layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Greatest, softly greatest (log of the mean exponential) and mean logit of a heat map.

    (B, h, w, 1) to (B, 3); no gradient goes back into the map.
    """

    def call(self, heat: keras.KerasTensor) -> keras.KerasTensor:
        heat = ops.stop_gradient(heat)
        count = float(heat.shape[1] * heat.shape[2])
        soft = ops.logsumexp(heat, axis=(1, 2)) - float(np.log(count))
        return ops.concatenate([ops.max(heat, axis=(1, 2)), soft, ops.mean(heat, axis=(1, 2))], -1)


def locations(size: int) -> NDArray[np.float32]:
    """Return the box head's locations: (n, 3) x, y and stride in input pixels.

    Level by level, each in row order; x and y are the centres of cells.
    """
    levels = []
    for stride in STRIDES:
        axis = (np.arange(size // stride, dtype=np.float32) + 0.5) * stride
        x, y = np.meshgrid(axis, axis)
        levels.append(np.stack([x.ravel(), y.ravel(), np.full(x.size, stride)], axis=1))
    return np.concatenate(levels).astype(np.float32)


def decode(cells: keras.KerasTensor, size: int) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Turn cells (B, n, 5) into boxes (B, n, 4) x0, y0, x1, y1 in input pixels and scores (B, n).

    Works on tensors of any backend and on symbolic ones.
    """
    at = locations(size)[None]
    reach = ops.exp(ops.clip(cells[:, :, 1:], -4.0, 3.0)) * (at[:, :, 2:] * REACH)
    low = ops.subtract(at[:, :, :2], reach[:, :, :2])
    high = ops.add(at[:, :, :2], reach[:, :, 2:])
    boxes = ops.clip(ops.concatenate([low, high], axis=-1), 0.0, float(size))
    return boxes, ops.sigmoid(cells[:, :, 0])


def mirror(cells: keras.KerasTensor, size: int) -> keras.KerasTensor:
    """Turn cells (B, n, 5) of mirrored films into cells of the films themselves, and back.

    Works on tensors of any backend and on symbolic ones.
    """
    levels, start = [], 0
    for side in (size // stride for stride in STRIDES):
        level = ops.reshape(cells[:, start : start + side * side], (-1, side, side, 5))
        opacity, left, top, right, bottom = ops.split(ops.flip(level, axis=2), 5, axis=-1)
        turned = ops.concatenate([opacity, right, top, left, bottom], axis=-1)
        levels.append(ops.reshape(turned, (-1, side * side, 5)))
        start += side * side
    return ops.concatenate(levels, axis=1)


def whole(
    network: Network,
    members: Sequence[keras.Model] | None = None,
    kinds: keras.Model | None = None,
    *,
    mirrored: bool = False,
) -> keras.Model:
    """Join the parts to the exported network.

    uint8 (B, S, S, 1) to {"logits": (B, 3), "boxes": (B, n, 4), "scores": (B, n), "heat": (B, h,
    w)}, the heat map 0 to 1. `members` are heads in place of the network's own. With `mirrored`
    each film is read mirrored too. What counts is the mean of all that is said: of logits and log
    distances. `kinds` reads what `Network.kinds_stem` gives and adds "kinds", logits in the order
    of `inference.manifest.KINDS`.
    """
    image = layers.Input((network.size, network.size, 1), dtype="uint8", name="image")
    features = network.stem(image)
    said = [heads(features) for heads in members or [network.heads]]
    if mirrored:
        turned = network.stem(ops.flip(image, axis=2))
        for heads in members or [network.heads]:
            other = heads(turned)
            said.append(
                {
                    "logits": other["logits"],
                    "cells": mirror(other["cells"], network.size),
                    "heat": ops.flip(other["heat"], axis=2),
                }
            )
    found = {
        name: said[0][name] if len(said) == 1 else layers.Average()([each[name] for each in said])
        for name in said[0]
    }
    boxes, scores = decode(found["cells"], network.size)
    outputs = {
        "logits": found["logits"],
        "boxes": boxes,
        "scores": scores,
        "heat": ops.sigmoid(found["heat"]),
    }
    if kinds is not None:
        first = features[0]
        outputs["kinds"] = kinds(network.trunk(first) if network.trunk is not None else first)
    return keras.Model(image, outputs, name="hilum")
