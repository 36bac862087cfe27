"""Training on phantoms learns, keeps what is frozen, and is the same for the same seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from training.augment import Augmentation
from training.fit import Examples, Recipe, apply, featurise, fit, make_variants
from training.networks import Network, build, whole
from training.phantoms import Kind, phantom

SIZE = 128
RECIPE = Recipe(
    variants=2, batch=8, warm_epochs=6, epochs=2, warm_rate=5e-3, augmentation=Augmentation()
)
KINDS: tuple[Kind, ...] = ("normal", "abnormal", "opacity")


@pytest.fixture(scope="module")
def examples() -> Examples:
    films = [phantom(np.random.default_rng(k), kind=KINDS[k % 3], size=SIZE) for k in range(24)]
    boxes = [
        np.array([(x, y, x + w, y + h) for x, y, w, h in film.boxes], np.float32).reshape(-1, 4)
        for film in films
    ]
    features, cells = make_variants(
        build(SIZE, None, seed=0), [film.image for film in films], boxes, RECIPE, seed=0
    )
    labels = np.array([KINDS.index(film.kind) for film in films], np.int32)
    ones = np.ones(len(films), np.float32)
    return Examples(features, cells, labels, ones, ones)


def heads(network: Network) -> list[np.ndarray]:
    return [np.array(weight) for weight in network.heads.get_weights()]


def test_training_lowers_the_loss_and_leaves_the_stem_alone(examples: Examples) -> None:
    network = build(SIZE, None, seed=0)
    stem = [np.array(weight) for weight in network.stem.get_weights()]
    losses = fit(network, examples, RECIPE, seed=0)
    assert len(losses) == RECIPE.warm_epochs + RECIPE.epochs
    assert np.mean(losses[-2:]) < 0.8 * losses[0]
    for before, after in zip(stem, network.stem.get_weights(), strict=True):
        assert (before == after).all()


def test_the_same_seed_trains_the_same_network(examples: Examples) -> None:
    recipe = replace(RECIPE, warm_epochs=1, epochs=0)
    one, other, third = (build(SIZE, None, seed=0) for _ in "abc")
    assert fit(one, examples, recipe, seed=1) == pytest.approx(
        fit(other, examples, recipe, seed=1), rel=1e-4
    )
    fit(third, examples, recipe, seed=2)
    same = [np.abs(a - b).max() for a, b in zip(heads(one), heads(other), strict=True)]
    different = [np.abs(a - b).max() for a, b in zip(heads(one), heads(third), strict=True)]
    assert max(same) < 1e-3 < max(different)


def test_a_film_whose_boxes_are_unknown_teaches_the_box_head_nothing(examples: Examples) -> None:
    recipe = replace(RECIPE, warm_epochs=1, epochs=0)
    none = np.zeros(len(examples.labels), np.float32)
    network = build(SIZE, None, seed=0)
    before = network.heads.get_layer("edges").get_weights()
    fit(network, replace(examples, boxed=none), replace(recipe, weight_decay=0.0), seed=0)
    for old, new in zip(before, network.heads.get_layer("edges").get_weights(), strict=True):
        assert (old == new).all()


def test_the_whole_network_gives_what_its_parts_give() -> None:
    network = build(SIZE, None, seed=0)
    images = np.stack(
        [phantom(np.random.default_rng(0), kind=kind, size=SIZE).image for kind in KINDS]
    )
    parts = apply(network, featurise(network, images))
    joined = whole(network)(images[..., None])
    # The features between the parts are kept in half precision.
    assert np.abs(np.asarray(joined["logits"]) - parts.logits).max() < 0.02
    assert np.abs(np.asarray(joined["scores"]) - parts.scores).max() < 0.01
    cells = (SIZE // 16) ** 2
    assert parts.boxes.shape == (3, cells, 4)
    assert parts.scores.shape == (3, cells)
    assert (parts.boxes >= 0).all()
    assert (parts.boxes <= SIZE).all()
