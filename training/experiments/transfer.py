"""Classifiers and box regressors on the published backbones that the report fine-tuned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import keras
from keras import layers, ops

from training.experiments.networks import SizeError, class_head
from training.experiments.weights import Start, start

Scaling = Literal["caffe", "tf", "torch"]

_BGR_MEANS = (103.939, 116.779, 123.68)
_RGB_MEANS, _RGB_DEVIATIONS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True)
class Backbone:
    """A published network: how Keras makes it, its smallest picture, and how it scales pixels."""

    make: Callable[..., keras.Model]
    smallest: int
    scaling: Scaling


BACKBONES = {
    "vgg16": Backbone(keras.applications.VGG16, 32, "caffe"),
    "resnet50": Backbone(keras.applications.ResNet50, 32, "caffe"),
    "inceptionv3": Backbone(keras.applications.InceptionV3, 75, "tf"),
    "densenet121": Backbone(keras.applications.DenseNet121, 32, "torch"),
    "densenet121_chexnet": Backbone(keras.applications.DenseNet121, 32, "torch"),
    "mobilenet": Backbone(keras.applications.MobileNet, 32, "tf"),
}


@dataclass(frozen=True, slots=True)
class How:
    """How a backbone is used: see `spec.Network` and `overrides.Overrides`."""

    weights: str
    given: str | None = None
    random_if_missing: bool = False
    frozen: bool = False
    preprocess: bool = False


def build(name: str, size: int, how: How) -> tuple[keras.Model, Start]:
    """Build a classifier for pictures (B, size, size, 3) of 0 to 255; gives (B, 2) softmax.

    Raises:
        SizeError: the backbone takes no pictures this small.
        WeightsError: the weights cannot be had or do not fit.
    """
    return assemble(name, size, how, class_head)


def assemble(
    name: str, size: int, how: How, head: Callable[[keras.KerasTensor], keras.KerasTensor]
) -> tuple[keras.Model, Start]:
    """Put a head on a backbone's globally pooled features.

    A backbone that starts at random is trained whatever `how.frozen` says: features at random are
    of no use.
    """
    backbone = BACKBONES[name]
    if size < backbone.smallest:
        raise SizeError(f"{name} takes pictures of {backbone.smallest} pixels or more, not {size}")

    def make(weights: str | None) -> keras.Model:
        return backbone.make(
            input_shape=(size, size, 3), include_top=False, weights=weights, pooling="avg"
        )

    features, started = start(
        make, name, how.weights, how.given, random_if_missing=how.random_if_missing
    )
    features.trainable = not how.frozen or started.used == "none"
    image = layers.Input((size, size, 3), dtype="uint8", name="image")
    scaled = scale(image, backbone.scaling if how.preprocess else None)
    return keras.Model(image, head(features(scaled)), name=name), started


def scale(image: keras.KerasTensor, scaling: Scaling | None) -> keras.KerasTensor:
    """Scale pixels of 0 to 255 as `keras.applications`' `preprocess_input`; None divides by 255."""
    if scaling == "caffe":
        flipped = ops.flip(ops.cast(image, "float32"), axis=-1)
        offset = [-mean for mean in _BGR_MEANS]
        return layers.Rescaling([1.0, 1.0, 1.0], offset=offset, name="scale")(flipped)
    if scaling == "torch":
        factors = [1 / (255 * deviation) for deviation in _RGB_DEVIATIONS]
        offset = [-m / d for m, d in zip(_RGB_MEANS, _RGB_DEVIATIONS, strict=True)]
        return layers.Rescaling(factors, offset=offset, name="scale")(image)
    if scaling == "tf":
        return layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")(image)
    return layers.Rescaling(1 / 255, name="scale")(image)
