"""The report's films and its splits, on made tables of full size."""

from __future__ import annotations

import numpy as np
import pytest
from experiments_kaggle import table

from training.experiments.selection import (
    DataError,
    Selection,
    first_boxes,
    is_positive,
    one_hot,
    select,
)
from training.experiments.spec import Data
from training.tables import Film

FILMS = table(6012, 20672)
"""As many films of each target as the challenge has."""


def data(**values: object) -> Data:
    usual = {"films": 6000, "size": 224, "source": "dicom", "colour": "pet"}
    return Data.model_validate(usual | values)


def positives(selection: Selection, name: str) -> int:
    return sum(is_positive(selection.films[k]) for k in selection.split(name))


@pytest.mark.parametrize(
    ("films", "boxes", "sizes"),
    [
        (6000, False, (3840, 960, 1200)),
        (10_000, False, (6400, 1600, 2000)),
        (4500, True, (2880, 720, 900)),
    ],
)
def test_splits_have_the_reports_sizes_and_half_of_each_is_positive(
    films: int, boxes: bool, sizes: tuple[int, int, int]
) -> None:
    selection = select(FILMS, data(films=films), boxes=boxes, seed=0)
    parts = [selection.split(name) for name in ("train", "val", "test")]
    assert tuple(len(part) for part in parts) == sizes
    assert sorted(np.concatenate(parts)) == list(range(films))
    assert len({film.id for film in selection.films}) == films
    for name, size in zip(("train", "val", "test"), sizes, strict=True):
        assert positives(selection, name) == (size if boxes else size // 2)


def test_where_the_report_tested_on_validation_films_both_are_the_same() -> None:
    selection = select(FILMS, data(test="validation"), boxes=False, seed=0)
    assert (len(selection.train), len(selection.val)) == (4800, 1200)
    assert selection.val is selection.test
    assert positives(selection, "val") == 600


def test_the_split_by_patient_keeps_patients_together_and_the_other_does_not() -> None:
    people = [f"p{number % 900}" for number in range(6000)]
    films = table(3000, 3000, patients=people)

    def shared(split: str) -> int:
        selection = select(films, data(split=split), boxes=False, seed=3)
        who = [
            {selection.films[k].patient for k in selection.split(name)}
            for name in ("train", "val", "test")
        ]
        assert abs(len(selection.test) - 1200) < 60
        return len(who[0] & who[1] | who[0] & who[2] | who[1] & who[2])

    assert shared("patient") == 0
    assert shared("film") > 500


def test_a_folder_with_fewer_films_gives_as_many_as_it_has_of_each_target() -> None:
    selection = select(table(90, 152), data(), boxes=False, seed=0)
    assert len(selection.films) == 180
    assert sum(map(is_positive, selection.films)) == 90
    assert len(select(table(90, 152), data(), boxes=True, seed=0).films) == 90


def test_the_seed_decides_and_fewer_films_are_some_of_the_more() -> None:
    def ids(films: int, seed: int) -> set[str]:
        chosen = select(FILMS, data(films=films), boxes=False, seed=seed)
        return {film.id for film in chosen.films}

    assert ids(100, 0) == ids(100, 0)
    assert ids(100, 0) < ids(6000, 0)
    assert ids(100, 0) != ids(100, 1)
    one, two = (select(FILMS, data(films=100), boxes=False, seed=0) for _ in "ab")
    assert [film.id for film in one.films] == [film.id for film in two.films]
    assert list(one.train) == list(two.train)


def test_too_few_films_are_refused() -> None:
    with pytest.raises(DataError, match="would lack films"):
        select(table(2, 9), data(films=10), boxes=False, seed=0)
    with pytest.raises(DataError, match="0 films are too few"):
        select(table(0, 50), data(), boxes=True, seed=0)


def test_targets_and_boxes_are_those_of_the_films() -> None:
    films = table(2, 3)
    assert one_hot(films).tolist() == [[0, 1], [0, 1], [1, 0], [1, 0], [1, 0]]
    assert first_boxes(films[:2]).tolist() == [[0, 10, 100, 200], [1, 10, 100, 200]]
    two = Film("x", films[0].path, "p", 2, ((5, 6, 7, 8), (1, 2, 3, 4)), "rsna")
    assert first_boxes([two]).tolist() == [[5, 6, 7, 8]]
    with pytest.raises(DataError, match="no box"):
        first_boxes(films)
