"""Training of the heads on the frozen stem's features, computed once per film and variant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import keras
import numpy as np
from numpy.typing import NDArray

from training.augment import Augmentation, augment
from training.losses import CellLoss, encode
from training.networks import JIT, Network, decode

Features = NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the heads are trained. `variants` augmented copies of each film are made once.

    `warm_epochs` train the new heads alone, `epochs` all after the cut; an epoch shows each film
    once, in one of its variants.
    """

    variants: int = 16
    batch: int = 16
    warm_epochs: int = 6
    epochs: int = 24
    warm_rate: float = 1e-3
    rate: float = 2e-4
    weight_decay: float = 0.02
    cells: float = 1.0
    augmentation: Augmentation = field(default_factory=Augmentation)


@dataclass(frozen=True, slots=True)
class Examples:
    """Films ready for training.

    `features` is (films, variants, h, w, channels) float16, `cells` (films, variants, n, 5) as
    `losses.encode` makes them, `labels` (films,) class indices; `weights` (films,) weighs a film's
    class and `boxed` (films,) its boxes: 0 where they are not known.
    """

    features: Features
    cells: NDArray[np.float32]
    labels: NDArray[np.int32]
    weights: NDArray[np.float32]
    boxed: NDArray[np.float32]

    def take(self, which: NDArray[np.intp] | NDArray[np.bool_]) -> Examples:
        """Return the films that `which` picks."""
        return Examples(
            self.features[which],
            self.cells[which],
            self.labels[which],
            self.weights[which],
            self.boxed[which],
        )


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the network gives for n films: `logits` (n, 3), `boxes` (n, m, 4), `scores` (n, m)."""

    logits: NDArray[np.float32]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]


def featurise(network: Network, images: NDArray[np.uint8], batch: int = 16) -> Features:
    """Run the frozen stem over (n, size, size) images."""
    parts = [
        network.stem.predict_on_batch(images[i : i + batch, :, :, None])
        for i in range(0, len(images), batch)
    ]
    return np.concatenate(parts).astype(np.float16)


def make_variants(
    network: Network,
    images: Sequence[NDArray[np.uint8]],
    boxes: Sequence[NDArray[np.float32]],
    recipe: Recipe,
    *,
    seed: int,
) -> tuple[Features, NDArray[np.float32]]:
    """Augment every film `recipe.variants` times: features and cell targets as in `Examples`."""
    features, cells = [], []
    for number, (image, corners) in enumerate(zip(images, boxes, strict=True)):
        rng = np.random.default_rng([seed, number])
        made = [augment(image, corners, rng, recipe.augmentation) for _ in range(recipe.variants)]
        features.append(featurise(network, np.stack([square for square, _ in made])))
        cells.append(np.stack([encode(moved, network.size) for _, moved in made]))
    return np.stack(features), np.stack(cells)


def fit(network: Network, examples: Examples, recipe: Recipe, *, seed: int) -> list[float]:
    """Train the heads in place; returns the loss of every epoch."""
    keras.utils.set_random_seed(seed)
    second = network.heads.get_layer("backbone_second")
    losses: list[float] = []
    for epochs, rate, everything in (
        (recipe.warm_epochs, recipe.warm_rate, False),
        (recipe.epochs, recipe.rate, True),
    ):
        if epochs == 0:
            continue
        for layer in second.layers:
            layer.trainable = everything and not isinstance(layer, keras.layers.BatchNormalization)
        batches = _Batches(examples, recipe.batch, seed + len(losses))
        schedule = keras.optimizers.schedules.CosineDecay(rate, epochs * len(batches))
        network.heads.compile(
            optimizer=keras.optimizers.AdamW(
                schedule, weight_decay=recipe.weight_decay, clipnorm=1.0
            ),
            loss={
                "logits": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                "cells": CellLoss(network.size),
            },
            loss_weights={"logits": 1.0, "cells": recipe.cells},
            jit_compile=JIT,
        )
        history = network.heads.fit(batches, epochs=epochs, verbose=0, shuffle=False)
        losses += [float(loss) for loss in history.history["loss"]]
    return losses


def apply(network: Network, features: Features, batch: int = 32) -> Outputs:
    """Run the heads over features (n, h, w, channels) and decode the boxes."""
    parts = []
    for start in range(0, len(features), batch):
        chunk = features[start : start + batch].astype(np.float32)
        found = network.heads(chunk, training=False)
        boxes, scores = decode(found["cells"], network.size)
        parts.append([keras.ops.convert_to_numpy(x) for x in (found["logits"], boxes, scores)])
    return Outputs(*(np.concatenate(column) for column in zip(*parts, strict=True)))


class _Batches(keras.utils.PyDataset):  # type: ignore[misc]  # Keras has no types
    """Seeded batches: every epoch shows each film once, in a variant drawn at random."""

    def __init__(self, examples: Examples, batch: int, seed: int) -> None:
        super().__init__(workers=1)
        self._examples, self._batch = examples, batch
        self._rng = np.random.default_rng(seed)
        self.on_epoch_end()

    def __len__(self) -> int:
        return max(1, len(self._examples.labels) // self._batch)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], dict[str, object], object]:
        at = slice(index * self._batch, (index + 1) * self._batch)
        films, variants = self._order[at], self._variants[at]
        e = self._examples
        return (
            e.features[films, variants].astype(np.float32),
            {"logits": e.labels[films], "cells": e.cells[films, variants]},
            {"logits": e.weights[films], "cells": e.boxed[films]},
        )

    def on_epoch_end(self) -> None:
        count, variants = self._examples.features.shape[:2]
        self._order = self._rng.permutation(count)
        self._variants = np.asarray(self._rng.integers(variants, size=(count,)))
