"""Which films an experiment takes, and which of them it trains, validates and is tested on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.experiments.spec import Data
from training.splits import patient_folds
from training.tables import LUNG_OPACITY, Film

FIFTHS = 5
"""A fifth of the films is held out for the test, a fifth of the others for validation."""
FILM_SIDE = 1024
"""Side of the challenge's films in pixels, which their boxes are given in."""

Indices = NDArray[np.int64]


class DataError(Exception):
    """The folder's films do not do for an experiment; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Films in the order in which the experiment holds them.

    `train`, `val` and `test` are indices into `films`, in rising order. Where the report tested on
    its validation films, `val` and `test` are the same.
    """

    films: tuple[Film, ...]
    train: Indices
    val: Indices
    test: Indices

    def split(self, name: str) -> Indices:
        """Return the indices of "train", "val" or "test"."""
        return {"train": self.train, "val": self.val, "test": self.test}[name]


def select(films: Sequence[Film], data: Data, *, boxes: bool, seed: int) -> Selection:
    """Choose films (see `choose`) and split them.

    Raises:
        DataError: there are too few films for every side of the split to have some of each kind.
    """
    return _split(choose(films, data, boxes=boxes, seed=seed), data, seed)


def choose(films: Sequence[Film], data: Data, *, boxes: bool, seed: int) -> tuple[Film, ...]:
    """Choose films, in a seeded order.

    Without `boxes`, as many positive as negative films are chosen, `data.films` in all or as many
    as there are; with `boxes`, positive films alone. A smaller choice is part of a larger one
    with the same seed.
    """
    rng = np.random.default_rng(seed)
    positive = [film for film in films if is_positive(film)]
    negative = [film for film in films if not is_positive(film)]
    positive = [positive[k] for k in rng.permutation(len(positive))]
    negative = [negative[k] for k in rng.permutation(len(negative))]
    if boxes:
        chosen = positive[: data.films]
    else:
        half = min(data.films // 2, len(positive), len(negative))
        chosen = positive[:half] + negative[:half]
    return tuple(chosen[k] for k in rng.permutation(len(chosen)))


def is_positive(film: Film) -> bool:
    """Whether the film shows a lung opacity: the challenge's Target."""
    return film.label == LUNG_OPACITY


def one_hot(films: Sequence[Film]) -> NDArray[np.float32]:
    """(n, 2): 1 in the column of the film's target."""
    targets = np.array([int(is_positive(film)) for film in films], np.intp)
    return np.eye(2, dtype=np.float32)[targets]


def first_boxes(films: Sequence[Film]) -> NDArray[np.float32]:
    """(n, 4) x, y, width, height in pixels of the film: the first of each film's boxes.

    Raises:
        DataError: a film has no box.
    """
    boxes = [film.boxes[0] for film in films if film.boxes]
    if len(boxes) != len(films):
        raise DataError("a positive film has no box in the label file: `hilum data check` names it")
    return np.array(boxes, np.float32).reshape(-1, 4)


def _split(films: tuple[Film, ...], data: Data, seed: int) -> Selection:
    everything = np.arange(len(films), dtype=np.int64)
    rest, test = _fifth(films, everything, data, seed)
    if data.test == "validation":
        train, val = rest, test
    else:
        train, val = _fifth(films, rest, data, seed + 1)
    selection = Selection(films, train, val, test)
    kinds = {is_positive(film) for film in films}
    for name in ("train", "val", "test"):
        held = {is_positive(films[k]) for k in selection.split(name)}
        if not held or held != kinds:
            raise DataError(
                f"{len(films)} films are too few: their {name} part would lack films of a kind;"
                " take more (`films`), at least 25 of each kind"
            )
    return selection


def _fifth(films: Sequence[Film], which: Indices, data: Data, seed: int) -> tuple[Indices, Indices]:
    """Part four fifths and one fifth, alike in targets (stratified)."""
    if len(which) == 0:
        return which, which
    groups = [films[k].patient if data.split == "patient" else films[k].id for k in which]
    targets = [int(is_positive(films[k])) for k in which]
    folds = patient_folds(groups, targets, FIFTHS, seed=seed)
    return which[folds != 0], which[folds == 0]
