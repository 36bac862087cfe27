"""The trainings of one bundle: each member of each fold, and of all films, kept in files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from inference.manifest import FilmKinds
from inference.pixels import InputForm, network_input
from training import film_kinds, kind_examples
from training.film_kinds import TrainedKinds
from training.films import Films
from training.fit import Examples, Recipe, Said, apply, fit
from training.networks import BACKBONES, Network, Precision, Size, build
from training.phantoms import Kind, phantom
from training.stem import Features, fastest
from training.variants import Labelled, make_examples

ALL = 99
"""Stands for a fold's number where the training is on all films."""


@dataclass(frozen=True, slots=True)
class Making:
    """What a network starts from: its size, its layers' number format, weights, a seed."""

    size: Size = "small"
    precision: Precision = "float32"
    weights: Path | None = None
    seed: int = 0

    def network(self, films: Films, recipe: Recipe, precision: Precision | None = None) -> Network:
        """Build the network for the films; `precision` in place of its own."""
        return build(
            films.form.size,
            self.weights,
            seed=self.seed,
            backbone=BACKBONES[self.size],
            tune=recipe.tune_epochs > 0,
            precision=precision or self.precision,
        )

    def identity(self, films: Films, recipe: Recipe | None) -> str:
        """Return a text that names all that a training of this depends on, by a recipe or none."""
        file = self.weights
        start = "random" if file is None else hashlib.sha256(file.read_bytes()).hexdigest()
        folds = len(np.unique(films.folds))
        told = f"{films.fingerprint} {recipe} {start} {self.size} {self.seed} {films.form.size}"
        return f"{told} {folds}{'' if self.precision == 'float32' else f' {self.precision}'}"


def begin(
    films: Films, recipe: Recipe, making: Making, work: Path, say: Callable[[str], None]
) -> Runs:
    """Build the network and begin its trainings, with phantoms first if the recipe asks for any."""
    network = making.network(films, recipe)
    start = network.heads.get_weights()
    variants = Recipe(
        variants=recipe.variants,
        pasted=recipe.pasted,
        controls=recipe.controls,
        tune_epochs=min(recipe.tune_epochs, 1),  # where the network is cut
        augmentation=recipe.augmentation,
    )
    runs = Runs(
        recipe,
        network,
        fastest(network.stem),
        start,
        making.seed,
        work,
        identity=making.identity(films, replace(recipe, mirrored=True)),  # trained the same
        shown=making.identity(films, variants),
        begun=making.identity(films, None),
        say=say,
    )
    return runs.pretrained()


@dataclass(frozen=True, slots=True)
class Runs:
    """Trains heads from one start, and takes what was finished before from `work`.

    `identity` names everything that the trainings depend on, `shown` all that the films' variants
    depend on, `begun` what the untrained network depends on; `featurise` is the network's stem.
    """

    recipe: Recipe
    network: Network
    featurise: Callable[[NDArray[np.uint8]], Features]
    start: list[NDArray[np.float32]]
    seed: int
    work: Path
    identity: str
    shown: str
    begun: str
    say: Callable[[str], None]

    def pretrained(self) -> Runs:
        """Return the same with a start that has seen phantoms, if the recipe asks for any."""
        recipe = self.recipe
        if not recipe.phantoms:
            return self
        file = self._file("phantoms").with_suffix(".npz")
        if not file.exists():
            self.say(f"training on {recipe.phantoms} phantoms first")
            once = replace(recipe, variants=1, epochs=recipe.phantom_epochs, tune_epochs=0)
            drawn = [_phantom(self.network.size, self.seed, k) for k in range(recipe.phantoms)]
            examples = make_examples(
                self.network,
                drawn,
                np.zeros(len(drawn), np.intp),
                replace(once, pasted=0, controls=0),
                self._file("phantom-examples"),
                featurise=self.featurise,
                seed=self.seed,
                say=self.say,
            )
            self.network.heads.set_weights(self.start)
            fit(self.network, examples, np.arange(len(drawn)), once, seed=self.seed)
            _save_weights(file, self.network.heads)
        return replace(self, start=_load_weights(file))

    def examples(self, films: Films) -> Examples:
        """Augment and featurise the films; kept in `work`."""
        return make_examples(
            self.network,
            films.labelled(),
            films.folds,
            self.recipe,
            _named(self.work, "examples", self.shown),
            featurise=self.featurise,
            seed=self.seed,
            say=self.say,
        )

    def out_of_fold(self, examples: Examples, films: Films) -> dict[int, list[Said]]:
        """What each member says of the films, after every watched epoch, fold by fold.

        Of each member once as the films are and, if the recipe says so, once as they are mirrored.
        """
        folds = films.folds
        seen = self.featurise(films.images)
        turned = self.featurise(np.ascontiguousarray(films.images[:, :, ::-1]))
        found: dict[int, list[list[Said]]] = {}
        order = np.concatenate([np.flatnonzero(folds == k) for k in np.unique(folds)])
        back = np.argsort(order)
        for fold in np.unique(folds):
            held = [[each[folds == fold] for each in features] for features in (seen, turned)]
            for member in range(self.recipe.members):
                told = self._watched(examples, np.flatnonzero(folds != fold), held, fold, member)
                for epoch, said in told.items():
                    parts = found.setdefault(epoch, [[] for _ in range(2 * self.recipe.members)])
                    for way, each in enumerate(said):
                        parts[2 * member + way].append(each)
        return {
            epoch: [
                Said(
                    np.concatenate([part.logits for part in parts])[back],
                    np.concatenate([part.cells for part in parts])[back],
                )
                for parts in (said if self.recipe.mirrored else said[::2])
            ]
            for epoch, said in found.items()
        }

    def _watched(
        self,
        examples: Examples,
        films: NDArray[np.intp],
        held: Sequence[Features],
        fold: int,
        member: int,
    ) -> dict[int, tuple[Said, Said]]:
        """What a member says of a fold, by epoch: of its films as they are, and mirrored."""
        file = self._file(f"fold-{fold}-{member}").with_suffix(".npz")
        if not file.exists():
            told: dict[str, NDArray[np.float32]] = {}

            def watch(epoch: int) -> None:
                plain, turned = (apply(self.network, features) for features in held)
                for way, said in enumerate((plain, turned.mirrored(self.network.size))):
                    told[f"logits-{epoch}-{way}"] = said.logits
                    told[f"cells-{epoch}-{way}"] = said.cells

            losses = self._fit(examples, films, self._seed(fold, member), watch)
            self.say(f"fold {fold}, member {member}: loss {losses[0]:.3f} to {losses[-1]:.3f}")
            _save(file, told)
        with np.load(file) as kept:
            epochs = sorted({int(name.split("-")[1]) for name in kept})

            def said(epoch: int, way: int) -> Said:
                return Said(kept[f"logits-{epoch}-{way}"], kept[f"cells-{epoch}-{way}"])

            return {epoch: (said(epoch, 0), said(epoch, 1)) for epoch in epochs}

    def on_all(self, examples: Examples, epochs: int, like: keras.Model) -> list[keras.Model]:
        """Train the members on all films for so many epochs; they come back in the form `like`."""
        films = np.arange(len(examples.labels))
        members = []
        for member in range(self.recipe.members):
            file = self._file(f"all-{member}-{epochs}").with_suffix(".npz")
            if not file.exists():
                losses = self._fit(examples, films, self._seed(ALL, member), None, epochs)
                self.say(f"member {member}: loss {losses[0]:.3f} to {losses[-1]:.3f}")
                _save_weights(file, self.network.heads)
            heads = keras.models.clone_model(like)
            heads.set_weights(_load_weights(file))
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
        named = _named(self.work, "kinds", self.begun, "" if pictures is None else f" {pictures}")
        file = named.with_suffix(".npz")
        rules = TypeAdapter(FilmKinds)
        stem = self.network.kinds_stem()
        if not file.exists():
            made = film_kinds.train(
                fastest(stem), images, patients, seed=self.seed, recipe=pictures, say=self.say
            )
            weights = {str(k): each for k, each in enumerate(made.head.get_weights())}
            _save(file, {**weights, "rule": np.array(rules.dump_json(made.rule).decode())})
        head = film_kinds.head(tuple(stem.outputs[0].shape[1:]))
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

    def _file(self, what: str) -> Path:
        return _named(self.work, what, self.identity)


def _named(folder: Path, what: str, identity: str, how: str = "") -> Path:
    key = hashlib.sha256(f"{identity} {what}{how}".encode()).hexdigest()[:16]
    return folder / f"{what}-{key}"


def _phantom(size: int, seed: int, number: int) -> Labelled:
    """Draw the film with this number, of the three classes in turn, as the network sees it."""
    kinds: tuple[Kind, ...] = ("normal", "abnormal", "opacity")
    film = phantom(np.random.default_rng([seed, number]), kind=kinds[number % 3], size=size)
    image, _ = network_input(film.image, InputForm(size, "percentiles"))
    corners = [(x, y, x + width, y + height) for x, y, width, height in film.boxes]
    return Labelled(image, np.array(corners, np.float32).reshape(-1, 4), number % 3, False)


def _save_weights(file: Path, heads: keras.Model) -> None:
    _save(file, {str(k): np.asarray(each) for k, each in enumerate(heads.get_weights())})


def _load_weights(file: Path) -> list[NDArray[np.float32]]:
    with np.load(file) as kept:
        return [kept[str(k)] for k in range(len(kept.files))]


def _save(file: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write through a second name, so that a file with the right name is whole."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part.npz")
    np.savez(part, **arrays)  # type: ignore[arg-type]  # the stub confuses it with allow_pickle
    part.rename(file)
