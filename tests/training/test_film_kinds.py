"""The head for kinds learns them, its figures are out-of-fold, its thresholds let films through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

from inference.manifest import KINDS
from training.film_kinds import (
    FRONTAL,
    Fitting,
    fit,
    head,
    measure,
    out_of_fold,
    pool,
    threshold_of,
    train,
)
from training.kind_examples import Examples, Recipe, make_examples
from training.networks import build
from training.phantoms import phantom
from training.stem import Features, featurise

pytestmark = pytest.mark.long

SIZE = 128
SHAPE = (8, 8, 96)
RECIPE = Recipe(jitters=1, changes=4, parts=1, others=1, laterals=6, phantoms=1, bodies=2)
FITTING = Fitting(folds=2, epochs=30, batch=64, rate=1e-2, dropout=0.1)


@pytest.fixture(scope="module")
def squares() -> NDArray[np.uint8]:
    return np.stack(
        [phantom(np.random.default_rng(n), kind="normal", size=SIZE).image for n in range(10)]
    )


@pytest.fixture(scope="module")
def patients() -> list[str]:
    return [f"patient {number // 2}" for number in range(10)]


@pytest.fixture(scope="module")
def features() -> Callable[[NDArray[np.uint8]], Features]:
    """A stem that was never trained."""
    return partial(featurise, build(SIZE, None, seed=0).stem)


def made_up(seed: int = 0, count: int = 400) -> Examples:
    """Examples whose kinds lie apart on the first five features."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, len(KINDS), count).astype(np.int32)
    features = rng.normal(0, 1, (count, 12)).astype(np.float32)
    features[np.arange(count), kinds] += 7
    groups = tuple(f"patient {number // 4}" for number in range(count))
    return Examples(features * 5 + 3, kinds, groups, ("film",) * count, kinds == FRONTAL)


def test_the_head_joins_pooling_and_classifier() -> None:
    features = np.random.default_rng(0).normal(size=(3, *SHAPE)).astype(np.float32)
    pooled = pool(SHAPE).predict(features, verbose=0)
    cells = features.reshape(3, 4, 2, 4, 2, 96).mean(axis=(2, 4))
    expected = [features.mean(axis=(1, 2)), features.max(axis=(1, 2)), cells.reshape(3, -1)]
    assert np.allclose(pooled, np.concatenate(expected, axis=1), atol=1e-4)
    model = head(SHAPE)
    assert model(features).shape == (3, len(KINDS))
    assert model.count_params() < 100_000


def test_what_standardises_is_folded_into_the_weights() -> None:
    """The classifier takes features as they are, of any scale, and tells the kinds apart."""
    examples = made_up()
    model = fit(examples, FITTING, seed=0)
    found = model.predict(examples.features, verbose=0).argmax(axis=1)
    assert (found == examples.kinds).mean() > 0.95


def test_out_of_fold_outputs_come_from_others_patients() -> None:
    """Kinds dealt at random by patient can be learned by heart, and not be told out-of-fold."""
    examples = made_up()
    rng = np.random.default_rng(1)
    by_patient = rng.integers(0, len(KINDS), 100)[np.arange(400) // 4].astype(np.int32)
    features = rng.normal(size=(100, 300))[np.arange(400) // 4].astype(np.float32)
    senseless = replace(examples, features=features, kinds=by_patient)
    by_heart = fit(senseless, FITTING, seed=0).predict(features, verbose=0)
    assert (by_heart.argmax(axis=1) == by_patient).mean() > 0.9
    _, kinds = out_of_fold(senseless, FITTING, seed=0)
    assert (kinds == by_patient).mean() < 0.5
    _, told = out_of_fold(examples, FITTING, seed=0)
    assert (told == examples.kinds).mean() > 0.9


@pytest.mark.parametrize("refused", [0.0, 0.01, 0.05])
def test_the_threshold_refuses_no_more_films_than_may_be(refused: float) -> None:
    doubts = np.random.default_rng(0).beta(0.4, 1.5, 500)
    threshold = threshold_of(doubts, replace(FITTING, refused=refused))
    assert (doubts >= threshold).mean() <= refused
    lower = threshold - 1e-3
    assert threshold == FITTING.least or (doubts >= lower).mean() > refused - 1 / 500
    assert threshold_of(np.zeros(5), FITTING) == FITTING.least


def test_figures_count_refusals_of_each_kind() -> None:
    examples = made_up()
    doubts = np.where(examples.kinds == FRONTAL, 0.1, 0.9)
    figures = measure(examples, doubts, FITTING)
    assert figures["frontal_refused"].value == 0
    assert figures["frontal_refused_against_header"].value == 0
    for kind in KINDS[1:]:
        assert figures[f"{kind}_refused"].value == 1
    blind = measure(examples, np.zeros(len(doubts)), FITTING)
    assert all(figure.value == 0 for figure in blind.values())


def test_examples_are_of_every_kind_and_changes_stay_with_their_patient(
    squares: NDArray[np.uint8], patients: list[str]
) -> None:
    described: list[int] = []

    def describe(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        described.append(len(pictures))
        return pictures[:, ::32, ::32].reshape(len(pictures), -1).astype(np.float32)

    examples = make_examples(describe, squares, patients, RECIPE, seed=0)
    again = make_examples(describe, squares, patients, RECIPE, seed=0)
    assert np.array_equal(examples.features, again.features)
    assert sum(described) == 2 * len(examples.kinds) == 2 * len(examples.features)
    assert set(examples.kinds.tolist()) == set(range(len(KINDS)))
    assert examples.plain.sum() == 2 * len(squares)
    of_films = [g for g, f in zip(examples.groups, examples.families, strict=True) if f == "turned"]
    assert set(patients) <= set(of_films)
    own = [group for group in examples.groups if group in set(patients)]
    assert len(own) == len(squares) * (2 + 1 + 4)


def test_training_tells_kinds_and_says_how_well(
    features: Callable[[NDArray[np.uint8]], Features],
    squares: NDArray[np.uint8],
    patients: list[str],
) -> None:
    """Even on features of a stem that was never trained, a negative is told from a film."""
    said: list[str] = []
    trained = train(
        features, squares, patients, seed=0, recipe=RECIPE, fitting=FITTING, say=said.append
    )
    films = np.asarray(trained.head(features(squares)[0]))
    negatives = np.asarray(trained.head(features(255 - squares)[0]))
    assert (films.argmax(axis=1) == FRONTAL).mean() > 0.8
    assert (negatives.argmax(axis=1) != FRONTAL).mean() > 0.8
    assert trained.rule.threshold <= trained.rule.contradicted_threshold
    assert set(trained.rule.figures) >= {"frontal_refused", "lateral_refused", "inverted_refused"}
    assert any("of real films refused" in line for line in said)
