"""The head that tells what kind of picture a film is, trained on the frozen stem's features.

Frontal films are real and drawn; what is no upright frontal chest is made from them or drawn
(`training.kind_examples`). Figures are out-of-fold, with all that was made of a patient's films in
one fold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from inference.calibration import softmax
from inference.manifest import KINDS, FilmKinds, Metric
from training import metrics
from training.kind_examples import Examples, Recipe, make_examples
from training.networks import JIT
from training.splits import patient_folds
from training.stem import Features

FRONTAL = KINDS.index("frontal")
GRID = 4
"""Cells per side of the grid that tells the head where on the film something is."""
HIDDEN = 32


@dataclass(frozen=True, slots=True)
class Fitting:
    """How the head is fitted.

    `refused` is the greatest part of real frontal films that may be refused wrongly, out-of-fold,
    where their headers are silent; no threshold is below `least`.
    """

    folds: int = 5
    epochs: int = 40
    batch: int = 128
    rate: float = 1e-3
    weight_decay: float = 0.05
    dropout: float = 0.3
    refused: float = 0.004
    least: float = 0.5
    contradicted: float = 0.95


@dataclass(frozen=True, slots=True)
class TrainedKinds:
    """The head, from the stem's features to (B, 5) logits, and how its outputs are read."""

    head: keras.Model
    rule: FilmKinds


def head(shape: tuple[int, ...]) -> keras.Model:
    """Build the head for features of `shape` (h, w, channels): to (B, 5) logits of KINDS.

    It sees each channel's mean, maximum and means over a coarse grid, which tells up from down.
    """
    features = layers.Input(shape, name="features")
    classify = _classifier(_pooled_size(shape))
    return keras.Model(features, classify(_pooled(features, shape)), name="kinds")


def pool(shape: tuple[int, ...]) -> keras.Model:
    """Build the head's first half, which has nothing to learn: features to (B, n)."""
    features = layers.Input(shape, name="features")
    return keras.Model(features, _pooled(features, shape), name="pooled")


def train(
    featurise: Callable[[NDArray[np.uint8]], Features],
    squares: NDArray[np.uint8],
    patients: Sequence[str],
    *,
    seed: int,
    recipe: Recipe | None = None,
    fitting: Fitting | None = None,
    say: Callable[[str], None] = print,
) -> TrainedKinds:
    """Make examples, fit the head, and choose and measure its thresholds out-of-fold.

    Args:
        featurise: The frozen stem, as `training.stem` runs it; the head reads its first features.
        squares: Real frontal films, (n, S, S) uint8, as the network sees them.
        patients: The patient of each film.
        seed: Seed of all chance.
        recipe: How many examples of what are made.
        fitting: How the head is fitted.
        say: Where progress is told.
    """
    fitting = fitting or Fitting()
    say(f"making pictures of all kinds from {len(squares)} frontal films")
    shape = tuple(featurise(squares[:1])[0].shape[1:])
    pooling = pool(shape)

    def describe(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        features = featurise(pictures)[0].astype(np.float32)
        return np.asarray(pooling.predict_on_batch(features), np.float32)

    examples = make_examples(describe, squares, patients, recipe or Recipe(), seed=seed)
    doubts, kinds = out_of_fold(examples, fitting, seed=seed)
    rule = choose(examples, doubts, fitting, measured=measure(examples, doubts, fitting))
    wrong = float((doubts[examples.plain] >= rule.threshold).mean())
    right = float((kinds == examples.kinds).mean())
    say(f"{len(kinds)} pictures: {right:.1%} of kinds right; {wrong:.2%} of real films refused")
    trained = head(shape)
    trained.layers[-1].set_weights(fit(examples, fitting, seed=seed).get_weights())
    return TrainedKinds(trained, rule)


def fit(examples: Examples, fitting: Fitting, *, seed: int) -> keras.Model:
    """Fit the classifier to examples; what standardises its inputs is folded into its weights."""
    keras.utils.set_random_seed(seed)
    inputs = examples.features
    mean, deviation = inputs.mean(axis=0), inputs.std(axis=0) + 1e-3
    model = _classifier(inputs.shape[1], fitting.dropout)
    steps = max(1, len(inputs) // fitting.batch) * fitting.epochs
    rate = keras.optimizers.schedules.CosineDecay(fitting.rate, steps)
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=fitting.weight_decay),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=JIT,
    )
    model.fit(
        (inputs - mean) / deviation,
        examples.kinds,
        sample_weight=_balanced(examples),
        batch_size=fitting.batch,
        epochs=fitting.epochs,
        verbose=0,
    )
    kernel, bias, *rest = model.get_weights()
    kernel = kernel / deviation[:, None]
    model.set_weights([kernel, bias - mean @ kernel, *rest])
    return model


def out_of_fold(
    examples: Examples, fitting: Fitting, *, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return each example's doubt (1 - probability of "frontal") and kind, by others' classifier.

    What was drawn is dealt to the folds by itself; what comes of one patient's films stays in one.
    """
    folds = patient_folds(examples.groups, examples.kinds.tolist(), fitting.folds, seed=seed)
    probabilities = np.zeros((len(folds), len(KINDS)))
    for fold in range(fitting.folds):
        held = folds == fold
        model = fit(examples.take(~held), fitting, seed=seed + fold)
        logits = model.predict(examples.features[held], batch_size=1024, verbose=0)
        probabilities[held] = softmax(logits)
    return 1 - probabilities[:, FRONTAL], probabilities.argmax(axis=1)


def threshold_of(doubts: NDArray[np.float64], fitting: Fitting) -> float:
    """Return the least threshold at which no more of these frontal films are refused than may."""
    ordered = np.sort(doubts)[::-1]
    may = int(fitting.refused * len(ordered))
    bound = float(ordered[may]) if may < len(ordered) else 0.0
    return min(max(fitting.least, float(np.nextafter(bound, 1.0))), 1.0)


def measure(examples: Examples, doubts: NDArray[np.float64], fitting: Fitting) -> dict[str, Metric]:
    """Measure refusals at a threshold that was chosen on the films of other patients.

    Real frontal films are split by patient into halves; each half's threshold judges the other.
    """
    patients = np.array(examples.groups)
    names = np.unique(patients[examples.plain])
    first = np.isin(patients, names[::2])
    refused = np.zeros(len(doubts), bool)
    for half in (first, ~first):
        rows = examples.plain & ~half
        refused[half] = doubts[half] >= threshold_of(doubts[rows], fitting)
    certain = doubts >= max(fitting.contradicted, threshold_of(doubts[examples.plain], fitting))
    figures = {
        "frontal_refused": _share(examples, refused, examples.plain, "real frontal films refused"),
        "frontal_refused_against_header": _share(
            examples, certain, examples.plain, "real frontal films refused against their header"
        ),
    }
    for number, kind in enumerate(KINDS):
        of_kind = examples.kinds == number
        if number != FRONTAL and of_kind.any():
            what = f"made pictures of the kind {kind} refused"
            figures[f"{kind}_refused"] = _share(examples, refused, of_kind, what)
    return figures


def choose(
    examples: Examples,
    doubts: NDArray[np.float64],
    fitting: Fitting,
    *,
    measured: dict[str, Metric],
) -> FilmKinds:
    """Choose the thresholds from the out-of-fold doubts of the real frontal films."""
    threshold = threshold_of(doubts[examples.plain], fitting)
    return FilmKinds(
        classes=KINDS,
        threshold=threshold,
        contradicted_threshold=max(threshold, fitting.contradicted),
        figures=measured,
    )


def _share(
    examples: Examples, refused: NDArray[np.bool_], rows: NDArray[np.bool_], what: str
) -> Metric:
    chosen = refused[rows].astype(np.float64)
    groups = [group for group, row in zip(examples.groups, rows, strict=True) if row]
    return metrics.with_interval(lambda i: float(chosen[i].mean()), groups, what)


def _balanced(examples: Examples) -> NDArray[np.float32]:
    """Weigh examples so that frontal films count as much as all else, and other kinds alike."""
    counts = np.bincount(examples.kinds, minlength=len(KINDS)).clip(1)
    shares = np.where(np.arange(len(KINDS)) == FRONTAL, 0.5, 0.5 / (len(KINDS) - 1))
    return np.asarray((shares / counts)[examples.kinds] * len(examples.kinds), np.float32)


def _pooled_size(shape: tuple[int, ...]) -> int:
    return shape[-1] * (2 + GRID * GRID)


def _pooled(features: keras.KerasTensor, shape: tuple[int, ...]) -> keras.KerasTensor:
    cells = layers.AveragePooling2D((shape[0] // GRID, shape[1] // GRID))(features)
    return layers.Concatenate(name="pooled")(
        [
            layers.GlobalAveragePooling2D()(features),
            layers.GlobalMaxPooling2D()(features),
            layers.Reshape((shape[-1] * GRID * GRID,))(cells),
        ]
    )


def _classifier(inputs: int, dropout: float = 0.0) -> keras.Model:
    return keras.Sequential(
        [
            layers.Input((inputs,)),
            layers.Dense(HIDDEN, activation="relu", name="kind_hidden"),
            layers.Dropout(dropout),
            layers.Dense(len(KINDS), name="kind_logits"),
        ],
        name="classify",
    )
