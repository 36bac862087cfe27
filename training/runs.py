"""The trainings of one bundle: each member of each fold, and of all films, kept in files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from inference.bundle import FilmKinds
from training import film_kinds, kind_examples
from training.cache import Square
from training.film_kinds import TrainedKinds
from training.fit import Examples, Recipe, Said, apply, fit
from training.networks import Network
from training.stem import Features
from training.tables import Film
from training.variants import Labelled, make_examples

ALL = 99
"""Stands for a fold's number where the training is on all films."""


@dataclass(frozen=True, slots=True)
class Runs:
    """Trains heads from one start, and takes what was finished before from `work`.

    `identity` names everything that the trainings depend on; `featurise` is the network's stem.
    """

    recipe: Recipe
    network: Network
    featurise: Callable[[NDArray[np.uint8]], Features]
    start: list[NDArray[np.float32]]
    seed: int
    work: Path
    identity: str
    say: Callable[[str], None]

    def examples(
        self, films: Sequence[Film], squares: Sequence[Square], folds: NDArray[np.intp]
    ) -> Examples:
        """Augment and featurise the films; kept in `work`."""
        labelled = [
            Labelled(
                square.image,
                None if film.boxes is None else square.corners(film),
                film.label,
                film.source != "rsna",
            )
            for film, square in zip(films, squares, strict=True)
        ]
        return make_examples(
            self.network,
            labelled,
            folds,
            self.recipe,
            self._file("examples"),
            featurise=self.featurise,
            seed=self.seed,
            say=self.say,
        )

    def out_of_fold(
        self, examples: Examples, images: NDArray[np.uint8], folds: NDArray[np.intp]
    ) -> dict[int, list[Said]]:
        """What each member says of `images`, after every watched epoch, fold by fold."""
        features = self.featurise(images)
        found: dict[int, list[list[Said]]] = {}
        order = np.concatenate([np.flatnonzero(folds == k) for k in np.unique(folds)])
        back = np.argsort(order)
        for fold in np.unique(folds):
            held = [each[folds == fold] for each in features]
            for member in range(self.recipe.members):
                told = self._watched(examples, np.flatnonzero(folds != fold), held, fold, member)
                for epoch, said in told.items():
                    parts = found.setdefault(epoch, [[] for _ in range(self.recipe.members)])
                    parts[member].append(said)
        return {
            epoch: [
                Said(
                    np.concatenate([part.logits for part in parts])[back],
                    np.concatenate([part.cells for part in parts])[back],
                )
                for parts in members
            ]
            for epoch, members in found.items()
        }

    def _watched(
        self,
        examples: Examples,
        films: NDArray[np.intp],
        held: Sequence[NDArray[np.float16]],
        fold: int,
        member: int,
    ) -> dict[int, Said]:
        file = self._file(f"fold-{fold}-{member}").with_suffix(".npz")
        if not file.exists():
            told: dict[str, NDArray[np.float32]] = {}

            def watch(epoch: int) -> None:
                said = apply(self.network, held)
                told[f"logits-{epoch}"], told[f"cells-{epoch}"] = said.logits, said.cells

            losses = self._fit(examples, films, self._seed(fold, member), watch)
            self.say(f"fold {fold}, member {member}: loss {losses[0]:.3f} to {losses[-1]:.3f}")
            _save(file, told)
        with np.load(file) as kept:
            epochs = sorted(int(name.split("-")[1]) for name in kept if name.startswith("logits"))
            return {k: Said(kept[f"logits-{k}"], kept[f"cells-{k}"]) for k in epochs}

    def on_all(self, examples: Examples, epochs: int, like: keras.Model) -> list[keras.Model]:
        """Train the members on all films for so many epochs; they come back in the form `like`."""
        films = np.arange(len(examples.labels))
        members = []
        for member in range(self.recipe.members):
            file = self._file(f"all-{member}-{epochs}").with_suffix(".npz")
            if not file.exists():
                losses = self._fit(examples, films, self._seed(ALL, member), None, epochs)
                self.say(f"member {member}: loss {losses[0]:.3f} to {losses[-1]:.3f}")
                weights = self.network.heads.get_weights()
                _save(file, {str(k): np.asarray(each) for k, each in enumerate(weights)})
            heads = keras.models.clone_model(like)
            with np.load(file) as kept:
                heads.set_weights([kept[str(k)] for k in range(len(kept.files))])
            heads.name = f"heads_{member}"
            members.append(heads)
        return members

    def kinds(
        self,
        images: NDArray[np.uint8],
        patients: Sequence[str],
        pictures: kind_examples.Recipe | None,
    ) -> TrainedKinds:
        """Train what tells kinds of pictures on the frontal films; kept in `work`."""
        file = self._file("kinds", pictures).with_suffix(".npz")
        rules = TypeAdapter(FilmKinds)
        if not file.exists():
            made = film_kinds.train(
                self.featurise, images, patients, seed=self.seed, recipe=pictures, say=self.say
            )
            weights = {str(k): each for k, each in enumerate(made.head.get_weights())}
            _save(file, {**weights, "rule": np.array(rules.dump_json(made.rule).decode())})
        head = film_kinds.head(tuple(self.network.stem.outputs[0].shape[1:]))
        with np.load(file) as kept:
            head.set_weights([kept[str(k)] for k in range(len(kept.files) - 1)])
            return TrainedKinds(head, rules.validate_json(str(kept["rule"])))

    def _fit(
        self,
        examples: Examples,
        films: NDArray[np.intp],
        seed: int,
        watch: Callable[[int], None] | None,
        until: int | None = None,
    ) -> list[float]:
        self.network.heads.set_weights(self.start)
        return fit(self.network, examples, films, self.recipe, seed=seed, watch=watch, until=until)

    def _seed(self, fold: int, member: int) -> int:
        return self.seed + 100 * member + int(fold)

    def _file(self, what: str, how: object = None) -> Path:
        whole = f"{self.identity} {what}" if how is None else f"{self.identity} {what} {how}"
        key = hashlib.sha256(whole.encode()).hexdigest()[:16]
        return self.work / f"{what}-{key}"


def _save(file: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write through a second name, so that a file with the right name is whole."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part.npz")
    np.savez(part, **arrays)  # type: ignore[arg-type]  # the stub confuses it with allow_pickle
    part.rename(file)
