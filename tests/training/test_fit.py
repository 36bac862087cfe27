"""Training on phantoms learns, keeps what is frozen, and is the same for the same seed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

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


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Examples:
    network = build(SIZE, None, seed=0)
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


def test_training_lowers_the_loss_and_leaves_the_stem_alone(examples: Examples) -> None:
    network = build(SIZE, None, seed=0)
    stem = [np.array(weight) for weight in network.stem.get_weights()]
    losses = fit(network, examples, ALL, RECIPE, seed=0)
    assert len(losses) == RECIPE.epochs
    assert np.mean(losses[-2:]) < 0.8 * losses[0]
    for before, after in zip(stem, network.stem.get_weights(), strict=True):
        assert (before == after).all()


def test_the_same_seed_trains_the_same_network(examples: Examples) -> None:
    recipe = replace(RECIPE, epochs=1)
    one, other, third = (build(SIZE, None, seed=0) for _ in "abc")
    assert fit(one, examples, ALL, recipe, seed=1) == pytest.approx(
        fit(other, examples, ALL, recipe, seed=1), rel=1e-4
    )
    fit(third, examples, ALL, recipe, seed=2)
    same = [np.abs(a - b).max() for a, b in zip(heads(one), heads(other), strict=True)]
    different = [np.abs(a - b).max() for a, b in zip(heads(one), heads(third), strict=True)]
    assert max(same) < 1e-3 < max(different)


def test_a_film_whose_boxes_are_unknown_teaches_boxes_and_heat_nothing(examples: Examples) -> None:
    recipe = replace(RECIPE, epochs=1, weight_decay=0.0)
    none = np.zeros(FILMS, np.float32)
    network = build(SIZE, None, seed=0)
    names = ("edges_16", "edges_32", "opacity_16", "heat_2d")
    before = [network.heads.get_layer(name).get_weights() for name in names]
    fit(network, replace(examples, boxed=none), ALL, recipe, seed=0)
    for name, old in zip(names, before, strict=True):
        for a, b in zip(old, network.heads.get_layer(name).get_weights(), strict=True):
            assert (a == b).all()


def test_other_films_count_as_much_as_the_recipe_says(examples: Examples) -> None:
    recipe = replace(RECIPE, epochs=1, weight_decay=0.0, others_share=1.0)
    other = replace(examples, other=np.ones(FILMS, bool))
    network = build(SIZE, None, seed=0)
    ignored = fit(network, other, ALL, replace(recipe, others_weight=0.0), seed=0)
    assert ignored == pytest.approx([0.0], abs=1e-6)
    network = build(SIZE, None, seed=0)
    assert fit(network, other, ALL, recipe, seed=0)[0] > 0.1


def test_the_watched_weights_are_the_averaged_ones_and_stay_when_training_ends_there(
    examples: Examples,
) -> None:
    network = build(SIZE, None, seed=0)
    seen: dict[int, list[np.ndarray]] = {}
    fit(network, examples, ALL, RECIPE, seed=0, watch=lambda e: seen.update({e: heads(network)}))
    assert sorted(seen) == [4, 8]
    for watched, left in zip(seen[8], heads(network), strict=True):
        assert (watched == left).all()
    short = build(SIZE, None, seed=0)
    fit(short, examples, ALL, RECIPE, seed=0, until=4)
    for watched, left in zip(seen[4], heads(short), strict=True):
        assert np.abs(watched - left).max() < 1e-3


def test_a_tuned_backbone_is_trained_after_its_heads(tmp_path: Path) -> None:
    network = build(64, None, seed=0, tune=True)
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
    losses = fit(network, made, np.arange(4), recipe, seed=0, until=1)
    assert len(losses) == 1
    assert all((a == b).all() for a, b in zip(before, second.get_weights(), strict=True))
    assert len(fit(network, made, np.arange(4), recipe, seed=0)) == 2
    assert any((a != b).any() for a, b in zip(before, second.get_weights(), strict=True))


def test_heads_can_be_run_on_the_examples_features(examples: Examples) -> None:
    network = build(SIZE, None, seed=0)
    said = apply(network, [each[:, 0] for each in examples.features], batch=5)
    assert said.logits.shape == (FILMS, 3)
    assert said.cells.shape == (FILMS, 80, 5)
