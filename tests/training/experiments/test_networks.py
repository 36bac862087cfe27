"""The CNNs have the report's parameter totals, and take what they say they take."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from training.experiments.networks import (
    STACKS,
    SizeError,
    build,
    parameters,
    smallest_size,
    stack,
)

PRINTED = [
    ("model", 128, False, 5_184_898, 192),
    ("model_2a", 224, False, 8_398_050, 960),
    ("model_3", 128, False, 4_402_780, 256),
    ("model_3", 224, False, 4_402_780, 256),
    ("model_3", 224, True, 41_809_140, 960),
]


@pytest.mark.parametrize(("name", "size", "extended", "total", "fixed"), PRINTED)
def test_a_network_has_the_printed_parameter_total(
    name: str, size: int, extended: bool, total: int, fixed: int
) -> None:
    model = build(name, size, extended=extended)
    assert parameters(model) == {"total": total, "trainable": total - fixed, "fixed": fixed}
    assert model.count_params() == total


def test_model_2_stands_between_the_other_two() -> None:
    totals = [parameters(build(name, 224))["total"] for name in ("model_2", "model_2a")]
    small = parameters(build("model", 128))["total"]
    assert small < totals[0] < totals[1]


@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize("extended", [False, True])
def test_a_network_takes_its_smallest_size_and_nothing_below(name: str, extended: bool) -> None:
    smallest = smallest_size(stack(name, extended=extended))
    model = build(name, smallest, extended=extended)
    pictures = np.random.default_rng(0).integers(0, 256, (2, smallest, smallest, 3), np.uint8)
    found = keras.ops.convert_to_numpy(model(pictures))
    assert found.shape == (2, 2)
    assert found.sum(axis=1) == pytest.approx(1)
    if smallest > 1:
        with pytest.raises(SizeError, match=f"{smallest} pixels or more"):
            build(name, smallest - 1, extended=extended)


def test_pixels_are_divided_by_255() -> None:
    model = build("model", 32)
    scale = keras.Model(model.input, model.get_layer("scale").output)
    pictures = np.full((1, 32, 32, 3), 255, np.uint8)
    assert keras.ops.convert_to_numpy(scale(pictures)) == pytest.approx(1)
