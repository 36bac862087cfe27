"""Training of the heads on the frozen stem's features, computed once per film and variant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import keras
import numpy as np
from numpy.typing import NDArray

from training.augment import Augmentation
from training.losses import CellLoss, HeatLoss
from training.networks import JIT, Network, decode, mirror
from training.stem import Features


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network is trained.

    `variants` augmented copies of each film are made once; of those of a film without opacity,
    `pasted` get an opacity of another film and `controls` a patch of ordinary lung (see
    `training.paste`). `phantoms` films are drawn to train on first, for `phantom_epochs`.

    The heads are trained for `epochs` (an epoch shows each film of the challenge once, in one of
    its variants, and `others_share` of the other films); `tune_epochs` follow in which the
    backbone's end is trained too. What counts is the moving average of the weights (`ema` a step).
    Every `watch` epochs the held-out films are read, and the epoch with the best challenge metric
    is taken. `members` heads, trained from different seeds, speak together.

    With `mirrored` each film is read mirrored too, and what is said of both counts.

    `others_weight` weighs films that are not of the challenge, and `others_trust` says how far
    their labels are believed.
    """

    variants: int = 12
    pasted: int = 3
    controls: int = 2
    phantoms: int = 0
    phantom_epochs: int = 6
    batch: int = 16
    epochs: int = 30
    rate: float = 1e-3
    tune_epochs: int = 0
    tune_rate: float = 1e-4
    weight_decay: float = 0.02
    ema: float = 0.98
    watch: int = 5
    members: int = 2
    mirrored: bool = True
    cells: float = 1.0
    heat: float = 2.0
    trust: float = 0.95
    others_share: float = 0.5
    others_weight: float = 0.7
    others_trust: float = 0.85
    augmentation: Augmentation = field(default_factory=Augmentation)


@dataclass(frozen=True, slots=True)
class Examples:
    """Films ready for training.

    `features` are (films, variants, h, w, channels) each, float16; `cells` (films, variants, n, 5)
    as `losses.encode` makes them and `heat` (films, variants, h, w) as `losses.heat_target` does;
    `labels` (films, variants) class indices. Per film: `boxed` is 0 where boxes are not known, and
    `other` is true where the film is not of the challenge.
    """

    features: Features
    cells: NDArray[np.float32]
    heat: NDArray[np.float32]
    labels: NDArray[np.int32]
    boxed: NDArray[np.float32]
    other: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the network gives for n films: `logits` (n, 3), `boxes` (n, m, 4), `scores` (n, m)."""

    logits: NDArray[np.float32]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Said:
    """What heads say of n films: `logits` (n, 3) and `cells` (n, m, 5), not yet boxes."""

    logits: NDArray[np.float32]
    cells: NDArray[np.float32]

    def mirrored(self, size: int) -> Said:
        """Return the same of the mirrored films, whose sides are `size` pixels."""
        return Said(self.logits, keras.ops.convert_to_numpy(mirror(self.cells, size)))


def fit(
    network: Network,
    examples: Examples,
    films: NDArray[np.intp],
    recipe: Recipe,
    *,
    seed: int,
    watch: Callable[[int], None] | None = None,
    until: int | None = None,
) -> list[float]:
    """Train the heads in place on the given films; the moving average of the weights is left.

    Args:
        network: What is trained; its backbone's end too if it was built to be tuned.
        examples: All films.
        films: Indices of those to train on.
        recipe: How.
        seed: Seed of all chance.
        watch: Is called after every `recipe.watch` epochs with their number, while the averaged
            weights stand in the network.
        until: The epoch to stop after, of those that the recipe plans.

    Returns:
        The loss of every epoch.
    """
    keras.utils.set_random_seed(seed)
    batches = _Batches(examples, films, recipe, seed)
    tuned = [layer for layer in network.heads.layers if layer.name == "backbone_second"]
    losses: list[float] = []
    for epochs, rate, everything in (
        (recipe.epochs, recipe.rate, False),
        (recipe.tune_epochs if tuned else 0, recipe.tune_rate, True),
    ):
        begun = len(losses)
        ending = epochs if until is None else min(epochs, until - begun)
        if ending <= 0:
            continue
        for second in tuned:
            for layer in second.layers:
                still = isinstance(layer, keras.layers.BatchNormalization)
                layer.trainable = everything and not still
        schedule = keras.optimizers.schedules.CosineDecay(rate, epochs * len(batches))
        network.heads.compile(
            optimizer=keras.optimizers.AdamW(
                schedule,
                weight_decay=recipe.weight_decay,
                clipnorm=1.0,
                use_ema=True,
                ema_momentum=recipe.ema,
            ),
            loss={
                "logits": keras.losses.CategoricalCrossentropy(from_logits=True),
                "cells": CellLoss(network.size),
                "heat": HeatLoss(),
            },
            loss_weights={"logits": 1.0, "cells": recipe.cells, "heat": recipe.heat},
            jit_compile=JIT,
        )
        callbacks = [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)]
        if watch is not None:
            callbacks.append(_Watch(watch, recipe.watch, begun))
        history = network.heads.fit(
            batches, epochs=ending, verbose=0, shuffle=False, callbacks=callbacks
        )
        losses += [float(loss) for loss in history.history["loss"]]
    return losses


def apply(network: Network, features: Features, batch: int = 32) -> Said:
    """Run the heads over feature maps (n, h, w, channels)."""
    parts = []
    for start in range(0, len(features[0]), batch):
        chunk = [np.asarray(each[start : start + batch], np.float32) for each in features]
        found = network.heads(chunk, training=False)
        parts.append([keras.ops.convert_to_numpy(found[name]) for name in ("logits", "cells")])
    return Said(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def together(said: Sequence[Said], size: int, batch: int = 64) -> Outputs:
    """Join all that is said of the same films, as `networks.whole` does, and decode boxes."""
    logits = np.mean([each.logits for each in said], axis=0)
    cells = np.mean([each.cells for each in said], axis=0)
    decoded = [decode(cells[k : k + batch], size) for k in range(0, len(cells), batch)]
    boxes, scores = (
        np.concatenate([keras.ops.convert_to_numpy(x) for x in column])
        for column in zip(*decoded, strict=True)
    )
    return Outputs(logits, boxes, scores)


class _Watch(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Calls `watch` after every `every` epochs, `begun` epochs having gone before."""

    def __init__(self, watch: Callable[[int], None], every: int, begun: int) -> None:
        super().__init__()
        self._watch, self._every, self._begun = watch, every, begun

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        done = self._begun + epoch + 1
        if done % self._every == 0:
            self._watch(done)


class _Batches(keras.utils.PyDataset):  # type: ignore[misc]  # Keras has no types
    """Seeded batches: every epoch shows each film once, in a variant drawn at random.

    Of films that are not of the challenge, another draw of `recipe.others_share` each epoch.
    """

    def __init__(
        self, examples: Examples, films: NDArray[np.intp], recipe: Recipe, seed: int
    ) -> None:
        super().__init__(workers=1)
        self._examples, self._recipe = examples, recipe
        other = examples.other[films]
        self._own, self._others = films[~other], films[other]
        self._rng = np.random.default_rng(seed)
        count = len(self._own) + round(recipe.others_share * len(self._others))
        self._count = max(1, count // recipe.batch)
        self.on_epoch_end()

    def __len__(self) -> int:
        return self._count

    def __getitem__(
        self, index: int
    ) -> tuple[tuple[NDArray[np.float32], ...], dict[str, object], dict[str, object]]:
        at = slice(index * self._recipe.batch, (index + 1) * self._recipe.batch)
        films, variants = self._order[at], self._variants[at]
        e, recipe = self._examples, self._recipe
        other = e.other[films]
        trust = np.where(other, recipe.others_trust, recipe.trust).astype(np.float32)[:, None]
        sure = np.eye(3, dtype=np.float32)[e.labels[films, variants]]
        weight = np.where(other, recipe.others_weight, 1.0).astype(np.float32)
        boxed = e.boxed[films] * weight
        return (
            tuple(each[films, variants].astype(np.float32) for each in e.features),
            {
                "logits": trust * sure + (1 - trust) / 3,
                "cells": e.cells[films, variants],
                "heat": e.heat[films, variants],
            },
            {"logits": weight, "cells": boxed, "heat": boxed},
        )

    def on_epoch_end(self) -> None:
        wanted = round(self._recipe.others_share * len(self._others))
        others = self._rng.permutation(self._others)[:wanted]
        self._order = self._rng.permutation(np.concatenate([self._own, others]))
        variants = self._examples.labels.shape[1]
        self._variants = np.asarray(self._rng.integers(variants, size=len(self._order)))
