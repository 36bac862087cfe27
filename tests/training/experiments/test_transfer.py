"""Backbones: how pixels are scaled, what is trained, and which sizes they take."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import applications, layers

from training.experiments.networks import SizeError, parameters
from training.experiments.transfer import BACKBONES, How, build, scale

PICTURES = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
SCALINGS = {
    "vgg16": applications.vgg16,
    "resnet50": applications.resnet50,
    "inceptionv3": applications.inception_v3,
    "densenet121": applications.densenet,
    "densenet121_chexnet": applications.densenet,
    "mobilenet": applications.mobilenet,
}


def scaled(scaling: str | None) -> np.ndarray:
    image = layers.Input((32, 32, 3), dtype="uint8")
    model = keras.Model(image, scale(image, scaling))
    return keras.ops.convert_to_numpy(model(PICTURES))


@pytest.mark.parametrize("name", BACKBONES)
def test_pixels_are_scaled_as_keras_scales_them_for_the_backbone(name: str) -> None:
    expected = SCALINGS[name].preprocess_input(PICTURES.astype(np.float32))
    assert np.abs(scaled(BACKBONES[name].scaling) - expected).max() < 1e-3


def test_without_preprocessing_pixels_are_divided_by_255() -> None:
    assert np.abs(scaled(None) - PICTURES / 255).max() < 1e-6


def test_a_backbone_that_starts_at_random_is_trained_though_it_should_be_frozen() -> None:
    model, started = build("mobilenet", 32, How("imagenet", given="none", frozen=True))
    assert started.used == "none"
    found = parameters(model)
    assert found["total"] == 3_228_864 + 2 * 1024 + 2
    assert found["fixed"] == 21_888  # the statistics of batch normalisation


def test_a_frozen_backbone_with_weights_stays_as_it_is(tmp_path: Path) -> None:
    source, _ = build("mobilenet", 32, How("none"))
    backbone = source.get_layer("mobilenet_1.00_32")
    backbone.save_weights(tmp_path / "mobilenet.weights.h5")
    how = How("imagenet", given=str(tmp_path), frozen=True)
    model, _ = build("mobilenet", 32, how)
    assert parameters(model)["trainable"] == 2 * 1024 + 2
    model.compile("adam", "categorical_crossentropy")
    model.train_on_batch(PICTURES, np.eye(2, dtype=np.float32))
    kept = model.get_layer("mobilenet_1.00_32").get_weights()
    assert all((a == b).all() for a, b in zip(backbone.get_weights(), kept, strict=True))


@pytest.mark.parametrize("name", ["vgg16", "inceptionv3", "densenet121", "mobilenet"])
def test_a_backbone_takes_its_smallest_size_and_nothing_below(name: str) -> None:
    smallest = BACKBONES[name].smallest
    with pytest.raises(SizeError, match=f"{name} takes pictures of {smallest} pixels or more"):
        build(name, smallest - 1, How("none"))
    model, _ = build(name, smallest, How("none", preprocess=True))
    assert model.output_shape == (None, 2)
