"""The network's shapes, its sizes, and what its parts give together."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from training.fit import Said, apply, together
from training.networks import BACKBONES, HeatFigures, Network, build, locations, whole
from training.phantoms import Kind, phantom
from training.stem import featurise, on_cpu

SIZE = 128
KINDS: tuple[Kind, ...] = ("normal", "abnormal", "opacity")


@pytest.fixture(scope="module")
def network() -> Network:
    return build(SIZE, None, seed=0)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.stack(
        [phantom(np.random.default_rng(0), kind=kind, size=SIZE).image for kind in KINDS]
    )


def test_the_whole_network_gives_what_its_parts_give(network: Network, images: np.ndarray) -> None:
    parts = together([apply(network, featurise(network.stem, images))], SIZE)
    joined = whole(network)(images[..., None])
    # The features between the parts are kept in half precision.
    assert np.abs(np.asarray(joined["logits"]) - parts.logits).max() < 0.02
    assert np.abs(np.asarray(joined["scores"]) - parts.scores).max() < 0.01
    cells = (SIZE // 16) ** 2 + (SIZE // 32) ** 2
    assert parts.boxes.shape == (3, cells, 4)
    assert parts.scores.shape == (3, cells)
    assert (parts.boxes >= 0).all()
    assert (parts.boxes <= SIZE).all()
    heat = np.asarray(joined["heat"])
    assert heat.shape == (3, SIZE // 16, SIZE // 16)
    assert ((heat > 0) & (heat < 1)).all()


def test_several_heads_speak_with_their_mean(network: Network, images: np.ndarray) -> None:
    other = keras.models.clone_model(network.heads)
    other.name = "other"
    features = featurise(network.stem, images)
    first = apply(network, features)
    second = apply(Network(SIZE, network.stem, other), features)
    mean = together([first, second], SIZE)
    assert mean.logits == pytest.approx((first.logits + second.logits) / 2)
    joined = whole(network, [network.heads, other])(images[..., None])
    assert np.asarray(joined["logits"]) == pytest.approx(mean.logits, abs=0.02)
    assert np.asarray(joined["scores"]) == pytest.approx(mean.scores, abs=0.01)


def test_a_mirrored_film_is_read_as_the_film_is(network: Network, images: np.ndarray) -> None:
    joined = whole(network, mirrored=True)
    plain = {name: np.asarray(value) for name, value in joined(images[..., None]).items()}
    turned = {name: np.asarray(value) for name, value in joined(images[:, :, ::-1, None]).items()}
    assert turned["logits"] == pytest.approx(plain["logits"], abs=1e-3)
    assert turned["heat"] == pytest.approx(plain["heat"][:, :, ::-1], abs=1e-3)
    at = locations(SIZE)
    place = {tuple(where): k for k, where in enumerate(at.tolist())}
    there = [place[SIZE - x, y, stride] for x, y, stride in at.tolist()]
    assert turned["scores"][:, there] == pytest.approx(plain["scores"], abs=1e-3)
    left, top, right, bottom = np.moveaxis(turned["boxes"][:, there], -1, 0)
    found = np.stack([SIZE - right, top, SIZE - left, bottom], axis=-1)
    assert found == pytest.approx(plain["boxes"], abs=0.1)


def test_a_film_read_mirrored_too_says_the_mean(network: Network, images: np.ndarray) -> None:
    plain = apply(network, featurise(network.stem, images))
    turned = apply(network, featurise(network.stem, np.ascontiguousarray(images[:, :, ::-1])))
    mean = together([plain, turned.mirrored(SIZE)], SIZE)
    joined = whole(network, mirrored=True)(images[..., None])
    assert np.asarray(joined["logits"]) == pytest.approx(mean.logits, abs=0.02)
    assert np.asarray(joined["scores"]) == pytest.approx(mean.scores, abs=0.01)


def test_what_tells_kinds_reads_what_no_training_has_touched(images: np.ndarray) -> None:
    network = build(SIZE, None, seed=0, tune=True)
    plain = build(SIZE, None, seed=0)
    before = featurise(plain.stem, images)[0]
    assert featurise(network.kinds_stem(), images)[0] == pytest.approx(before, rel=0.01, abs=0.01)
    second = network.heads.get_layer("backbone_second")
    second.set_weights([weight * 0 for weight in second.get_weights()])
    assert featurise(network.kinds_stem(), images)[0] == pytest.approx(before, rel=0.01, abs=0.01)


def test_openvino_gives_the_stems_features(network: Network, images: np.ndarray) -> None:
    fast, plain = on_cpu(network.stem)(images), featurise(network.stem, images)
    assert [each.shape for each in fast] == [each.shape for each in plain]
    for one, other in zip(fast, plain, strict=True):
        assert one.dtype == np.float16
        spread = float(other.astype(np.float32).std())
        assert np.abs(one.astype(np.float32) - other).max() < 0.02 * spread


def test_the_backbones_end_can_be_left_to_training() -> None:
    frozen, tuned = build(64, None, seed=0), build(64, None, seed=0, tune=True)
    assert len(frozen.stem.outputs) == 2
    assert len(tuned.stem.outputs) == 1
    assert tuned.heads.count_params() > 5 * frozen.heads.count_params()
    second = tuned.heads.get_layer("backbone_second")
    norms = [x for x in second.layers if isinstance(x, keras.layers.BatchNormalization)]
    assert norms
    assert not any(layer.trainable for layer in norms)
    assert not tuned.stem.trainable_weights


@pytest.mark.slow
@pytest.mark.parametrize("tune", [False, True])
def test_the_large_size_has_the_same_outputs(tune: bool) -> None:
    network = build(64, None, seed=0, backbone=BACKBONES["large"], tune=tune)
    image = np.zeros((2, 64, 64, 1), np.uint8)
    found = whole(network)(image)
    assert found["logits"].shape == (2, 3)
    assert found["boxes"].shape == (2, 20, 4)
    assert found["heat"].shape == (2, 4, 4)


def test_heat_figures_are_the_maps_greatest_softly_greatest_and_mean() -> None:
    heat = np.array([[0.0, 0.0], [0.0, 3.0]], np.float32).reshape(1, 2, 2, 1)
    top, soft, mean = np.asarray(HeatFigures()(heat))[0]
    assert top == 3
    assert soft == pytest.approx(np.log((3 + np.exp(3)) / 4))
    assert mean == pytest.approx(0.75)


def test_said_of_one_member_is_what_counts() -> None:
    cells = np.zeros((1, 5, 5), np.float32)
    out = together([Said(np.ones((1, 3), np.float32), cells)], 32)
    assert out.boxes.shape == (1, 5, 4)
    assert out.scores == pytest.approx(0.5)
