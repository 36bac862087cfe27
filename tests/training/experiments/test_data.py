"""Batches hold the right pictures with the right targets, the same for the same seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from experiments_kaggle import write_folder
from pydicom import dcmread
from pydicom.pixels.processing import apply_color_lut

from training.experiments.data import (
    Order,
    Source,
    colour,
    open_source,
    ordered_batches,
    pet_palette,
    training_batches,
)
from training.experiments.decoded import picture
from training.experiments.selection import one_hot, select
from training.experiments.spec import Augmentation, Data
from training.kaggle.folder import open_folder
from training.tables import Film

COUNT, SIDE = 23, 8
ORDER = Order(batch=5, seed=3, first_epoch=0, epochs=2)


def numbered(how: str = "stacked") -> Source:
    """Pictures whose every pixel is ten times the film's number, as is its target."""

    def read(which: np.ndarray) -> np.ndarray:
        return np.repeat(np.uint8(10 * which), SIDE * SIDE).reshape(-1, SIDE, SIDE)

    targets = np.arange(COUNT, dtype=np.float32)[:, None] * 10
    return Source(read, targets, SIDE, "pet" if how == "pet" else "stacked")


def taken(batches: tf.data.Dataset) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(pictures.numpy(), targets.numpy()) for pictures, targets in batches]


def test_an_epoch_shows_each_film_once_with_its_target_in_an_order_of_its_own() -> None:
    which = np.arange(2, COUNT, dtype=np.int64)
    batches = taken(training_batches(numbered(), which, ORDER, None))
    assert ORDER.steps(len(which)) == 5
    assert [len(targets) for _, targets in batches] == [5, 5, 5, 5, 1] * 2
    for pictures, targets in batches:
        assert pictures.shape[1:] == (SIDE, SIDE, 3)
        assert pictures.dtype == np.uint8
        assert (pictures == targets[:, :, None, None]).all()
    epochs = [
        [float(t[0]) for _, targets in part for t in targets] for part in (batches[:5], batches[5:])
    ]
    assert sorted(epochs[0]) == sorted(epochs[1]) == [10.0 * k for k in which]
    assert epochs[0] != epochs[1]
    assert epochs[0] != sorted(epochs[0])


@pytest.mark.parametrize("augmentation", [None, Augmentation()])
def test_a_resumed_run_sees_what_an_unbroken_one_sees(augmentation: Augmentation | None) -> None:
    which = np.arange(COUNT, dtype=np.int64)
    gradient = numbered()

    def read(films: np.ndarray) -> np.ndarray:
        return gradient.read(films) // 2 + np.arange(SIDE, dtype=np.uint8)

    source = Source(read, gradient.targets, SIDE, "stacked")
    whole = taken(training_batches(source, which, ORDER, augmentation))
    late = Order(batch=5, seed=3, first_epoch=1, epochs=2)
    resumed = taken(training_batches(source, which, late, augmentation))
    assert len(whole) == 2 * len(resumed)
    for (a, b), (c, d) in zip(whole[len(resumed) :], resumed, strict=True):
        assert (a == c).all()
        assert (b == d).all()
    other = Order(batch=5, seed=4, first_epoch=1, epochs=2)
    changed = taken(training_batches(source, which, other, augmentation))
    assert any((a != b).any() for (a, _), (b, _) in zip(resumed, changed, strict=True))
    moved = [(pictures != pictures[:, :1, :, :]).any() for pictures, _ in resumed]
    assert any(moved) == (augmentation is not None)


def test_ordered_batches_keep_the_order_and_move_nothing() -> None:
    which = np.array([7, 2, 2, 20, 11, 1], np.int64)
    batches = taken(ordered_batches(numbered(), which, 4))
    assert [len(targets) for _, targets in batches] == [4, 2]
    assert np.concatenate([t for _, t in batches])[:, 0].tolist() == [70, 20, 20, 200, 110, 10]
    assert all((p == t[:, :, None, None]).all() for p, t in batches)


def test_pet_colours_are_pydicoms(tmp_path: Path) -> None:
    films = open_folder(write_folder(tmp_path, 1, side=32)).films()
    pixels = dcmread(films[0].path).pixel_array
    expected = apply_color_lut(pixels, palette="1.2.840.10008.1.5.2")
    assert (colour(pixels[None], "pet")[0] == expected).all()
    ((pictures, targets),) = taken(ordered_batches(numbered("pet"), np.array([9], np.int64), 1))
    assert (pictures[0, 0, 0] == pet_palette()[90]).all()
    assert targets.tolist() == [[90.0]]


def test_pet_colours_stay_the_palettes_own_when_films_do_not_move() -> None:
    ((pictures, _),) = taken(ordered_batches(numbered("pet"), np.arange(COUNT), COUNT))
    own = {tuple(row) for row in pet_palette().tolist()}
    assert {tuple(pixel) for pixel in pictures.reshape(-1, 3).tolist()} <= own


def usual(**values: object) -> Data:
    given = {"films": 20, "size": 24, "source": "dicom", "colour": "stacked"}
    return Data.model_validate(given | values)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Film]:
    return open_folder(write_folder(tmp_path_factory.mktemp("kaggle"), 24, side=48)).films()


def test_a_source_reads_the_films_of_its_selection(films: list[Film], tmp_path: Path) -> None:
    selection = select(films, usual(), boxes=False, seed=1)
    source = open_source(films, selection, usual(), one_hot(selection.films), tmp_path)
    ((pictures, targets),) = taken(ordered_batches(source, selection.test, 100))
    for made, target, k in zip(pictures, targets, selection.test, strict=True):
        film = selection.films[k]
        assert (made[..., 0] == picture(film.path, 24, "dicom")).all()
        assert target.tolist() == ([0, 1] if film.label == 2 else [1, 0])


def test_np_resize_cuts_the_pictures_of_the_whole_selection(
    films: list[Film], tmp_path: Path
) -> None:
    wrong = usual(resize="np_resize", resize_from=42)
    selection = select(films, wrong, boxes=False, seed=1)
    source = open_source(films, selection, wrong, one_hot(selection.films), tmp_path)
    whole = np.stack([picture(film.path, 42, "dicom") for film in selection.films])
    expected = np.resize(whole, (len(whole), 24, 24))
    assert (source.read(selection.train) == expected[selection.train]).all()


def test_experiments_with_the_same_pictures_share_them(films: list[Film], tmp_path: Path) -> None:
    decoded: list[int] = []
    for values in ({"colour": "pet"}, {}, {"films": 10}):
        data = usual(**values)
        selection = select(films, data, boxes=False, seed=1)
        open_source(
            films, selection, data, one_hot(selection.films), tmp_path,
            watch=lambda done, _: decoded.append(done),
        )  # fmt: skip
    assert decoded == [20]
