"""Training on phantoms learns, keeps what is frozen, and is the same for the same seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.training.backbones import TINY
from training.fit import Examples, Recipe, apply, fit
from training.networks import Network, build
from training.phantoms import Kind, phantom
from training.stem import featurise
from training.variants import Labelled, make_examples

SIZE = 128
RECIPE = Recipe(variants=2, pasted=0, controls=0, batch=8, epochs=8, rate=5e-3, ema=0.5, watch=4)
KINDS: tuple[Kind, ...] = ("normal", "abnormal", "opacity")
FILMS = 24
ALL = np.arange(FILMS)


def labelled(number: int) -> Labelled:
    film = phantom(np.random.default_rng(number), kind=KINDS[number % 3], size=SIZE)
    corners = [(x, y, x + w, y + h) for x, y, w, h in film.boxes]
    boxes = np.array(corners, np.float32).reshape(-1, 4)
    return Labelled(film.image, boxes, number % 3, False)


@pytest.fixture(scope="module", autouse=True)
def _eagerly() -> Iterator[None]:
    """For a few steps, making graphs of them takes much longer than the steps."""
    compiled = keras.Model.compile

    def eager(model: keras.Model, *args: object, **how: object) -> None:
        compiled(model, *args, **how, run_eagerly=True)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.Model, "compile", eager)
        yield


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Examples:
    network = build(SIZE, None, seed=0, backbone=TINY)
    return make_examples(
        network,
        [labelled(number) for number in range(FILMS)],
        np.zeros(FILMS, np.intp),
        RECIPE,
        tmp_path_factory.mktemp("examples") / "made",
        featurise=lambda images: featurise(network.stem, images),
        seed=0,
        say=lambda _: None,
    )


def heads(network: Network) -> list[np.ndarray]:
    return [np.array(weight) for weight in network.heads.get_weights()]


@dataclass(frozen=True)
class Trained:
    """A network after a training that was watched: weights by epoch, and what stayed still."""

    network: Network
    losses: list[float]
    watched: dict[int, list[np.ndarray]]
    stem: list[np.ndarray]


@pytest.fixture(scope="module")
def trained(examples: Examples) -> Trained:
    network = build(SIZE, None, seed=0, backbone=TINY)
    stem = [np.array(weight) for weight in network.stem.get_weights()]
    seen: dict[int, list[np.ndarray]] = {}
    losses = fit(
        network, examples, ALL, RECIPE, seed=0, watch=lambda e: seen.update({e: heads(network)})
    )
    return Trained(network, losses, seen, stem)


def test_training_lowers_the_loss_and_leaves_the_stem_alone(trained: Trained) -> None:
    assert len(trained.losses) == RECIPE.epochs
    assert np.mean(trained.losses[-2:]) < 0.8 * trained.losses[0]
    for before, after in zip(trained.stem, trained.network.stem.get_weights(), strict=True):
        assert (before == after).all()


def test_the_watched_weights_are_the_averaged_ones_that_are_left(trained: Trained) -> None:
    assert sorted(trained.watched) == [4, 8]
    for watched, left in zip(trained.watched[8], heads(trained.network), strict=True):
        assert (watched == left).all()


def test_the_same_seed_trains_the_same_network_and_may_stop_before_the_end(
    examples: Examples, trained: Trained
) -> None:
    short = build(SIZE, None, seed=0, backbone=TINY)
    losses = fit(short, examples, ALL, RECIPE, seed=0, until=4)
    assert losses == pytest.approx(trained.losses[:4], rel=1e-3)
    for watched, left in zip(trained.watched[4], heads(short), strict=True):
        assert np.abs(watched - left).max() < 1e-2


def test_a_film_whose_boxes_are_unknown_teaches_boxes_and_heat_nothing(examples: Examples) -> None:
    recipe = replace(RECIPE, epochs=1, weight_decay=0.0)
    none = np.zeros(FILMS, np.float32)
    network = build(SIZE, None, seed=0, backbone=TINY)
    names = ("edges_16", "edges_32", "opacity_16", "heat_2d")
    before = [network.heads.get_layer(name).get_weights() for name in names]
    fit(network, replace(examples, boxed=none), ALL, recipe, seed=0)
    for name, old in zip(names, before, strict=True):
        for a, b in zip(old, network.heads.get_layer(name).get_weights(), strict=True):
            assert (a == b).all()


def test_other_films_count_as_much_as_the_recipe_says(examples: Examples) -> None:
    recipe = replace(RECIPE, epochs=1, weight_decay=0.0, others_share=1.0, others_weight=0.0)
    other = replace(examples, other=np.ones(FILMS, bool))
    ignored = fit(build(SIZE, None, seed=0, backbone=TINY), other, ALL, recipe, seed=0)
    assert ignored == pytest.approx([0.0], abs=1e-6)


def test_a_tuned_backbone_is_trained_after_its_heads(tmp_path: Path) -> None:
    network = build(64, None, seed=0, backbone=TINY, tune=True)
    recipe = replace(RECIPE, variants=1, epochs=1, tune_epochs=1, batch=4, ema=0.0)
    few = [replace(labelled(k), image=labelled(k).image[::2, ::2].copy()) for k in range(4)]
    made = make_examples(
        network,
        few,
        np.zeros(4, np.intp),
        recipe,
        tmp_path / "made",
        featurise=lambda images: featurise(network.stem, images),
        seed=0,
        say=lambda _: None,
    )
    second = network.heads.get_layer("backbone_second")
    before = [np.array(weight) for weight in second.get_weights()]
    heads_alone: list[bool] = []

    def watch(epoch: int) -> None:
        pairs = zip(before, second.get_weights(), strict=True)
        heads_alone.append(all((a == b).all() for a, b in pairs))

    losses = fit(network, made, np.arange(4), replace(recipe, watch=1), seed=0, watch=watch)
    assert len(losses) == 2
    assert heads_alone == [True, False]


def test_heads_can_be_run_on_the_examples_features(examples: Examples) -> None:
    network = build(SIZE, None, seed=0, backbone=TINY)
    said = apply(network, [each[:, 0] for each in examples.features], batch=5)
    assert said.logits.shape == (FILMS, 3)
    assert said.cells.shape == (FILMS, 80, 5)
