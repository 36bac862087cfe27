"""Pictures of what is not to be read: each is what it says, differs from the next, and repeats."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from inference.manifest import KINDS
from training import drawing
from training.anatomy import GRID
from training.body_parts import PARTS, frontal_chest, side_chest
from training.body_volume import project, somebody
from training.film_changes import (
    CHANGES,
    corner,
    folded,
    half,
    inverted,
    jittered,
    sheet,
    shuffled,
    stretched,
    turned,
)
from training.other_pictures import PICTURES

DRAWINGS = {**PARTS, "side": side_chest, "frontal": frontal_chest}
SIDE = 128


def seeded(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def film() -> NDArray[np.uint8]:
    """A frontal chest with bars at its sides, as a narrow film has them in the network's square."""
    picture = drawing.expose(seeded(1), frontal_chest(seeded(1)), SIDE)
    picture = np.maximum(picture, 1)
    picture[:, :9] = picture[:, -9:] = 0
    return picture


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_part_of_the_body_is_drawn_anew_for_each_seed(name: str) -> None:
    draw = DRAWINGS[name]
    one, again, other = draw(seeded(3)), draw(seeded(3)), draw(seeded(4))
    assert one.shape == (GRID, GRID)
    assert one.dtype == np.float32
    assert np.array_equal(one, again)
    assert np.abs(one - other).mean() > 0.01


@pytest.mark.parametrize("name", PARTS)
def test_a_part_of_the_body_lies_in_the_picture(name: str) -> None:
    """What is drawn beside the picture would teach that blank films are no chests, and no more."""
    for seed in range(6):
        shown = drawing.expose(seeded(seed), PARTS[name](seeded(seed)), SIDE)
        assert np.ptp(np.percentile(shown, (5, 95))) > 60 or (shown > 60).mean() > 0.04


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_that_is_no_radiograph_is_drawn_anew_for_each_seed(name: str) -> None:
    draw: Callable[[np.random.Generator], NDArray[np.uint8]] = PICTURES[name]
    one, again, other = draw(seeded(3)), draw(seeded(3)), draw(seeded(4))
    assert one.dtype == np.uint8
    assert one.shape == (GRID, GRID)
    assert np.array_equal(one, again)
    assert (one != other).mean() > 0.01


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_makes_a_picture_of_a_known_kind_and_leaves_the_film(
    name: str, film: NDArray[np.uint8]
) -> None:
    kind, change = CHANGES[name]
    before = film.copy()
    made = change(film, seeded(5))
    assert kind in KINDS[1:]
    assert made.shape == film.shape
    assert made.dtype == np.uint8
    assert np.abs(made.astype(int) - film).mean() > 8
    assert np.array_equal(film, before)


def test_turned_films_are_never_upright(film: NDArray[np.uint8]) -> None:
    for seed in range(30):
        made = turned(film, seeded(seed)).astype(int)
        assert np.abs(made - film).mean() > 8
        assert np.abs(made - film[:, ::-1]).mean() > 8


def test_an_inverted_film_is_the_negative_and_its_bars_may_stay(film: NDArray[np.uint8]) -> None:
    bars = set()
    for seed in range(12):
        made = inverted(film, seeded(seed))
        assert np.array_equal(made[:, 9:-9], 255 - film[:, 9:-9])
        bars.add(int(made[0, 0]))
    assert bars == {0, 255}


def test_parts_of_a_film_are_parts_of_it(film: NDArray[np.uint8]) -> None:
    assert folded(film, seeded(0)).max() <= film.max()
    for change in (corner, half, sheet):
        assert np.isin(np.unique(change(film, seeded(2))), np.arange(256)).all()
    tiles = shuffled(film, seeded(4))
    assert np.array_equal(np.sort(tiles, axis=None), np.sort(film, axis=None))


def test_a_jittered_film_keeps_its_place(film: NDArray[np.uint8]) -> None:
    """It stays closer to the film that it was than to the film on its head."""
    for seed in range(20):
        made = jittered(film, seeded(seed))
        assert made.shape == film.shape
        upright = np.corrcoef(made.ravel(), film.ravel())[0, 1]
        assert upright > np.corrcoef(made.ravel(), film[::-1].ravel())[0, 1]


def test_stretching_reaches_black_and_white_and_leaves_the_bars(film: NDArray[np.uint8]) -> None:
    dull = np.where(film > 0, 60 + film // 4, 0).astype(np.uint8)
    bright = stretched(dull)
    assert (bright[:, :9] == 0).all()
    assert np.percentile(bright[:, 9:-9], (1, 99)) == pytest.approx((0, 255), abs=12)
    assert (stretched(np.zeros((8, 8), np.uint8)) == 0).all()
    assert stretched(np.full((8, 8), 7, np.uint8)).shape == (8, 8)


def test_a_body_is_wider_from_the_front_than_from_the_side() -> None:
    """And the same seen twice from one side, and a mirror image from the other."""
    body = somebody(seeded(0))
    front, side = (project(body, angle, seeded(1)) for angle in (0, 90))
    assert (front > 0.1).sum() > 1.15 * (side > 0.1).sum()
    assert np.array_equal(side, project(body, 90, seeded(1)))
    other = project(body, -90, seeded(1))
    assert np.abs(side - other[:, ::-1]).mean() < 0.5 * np.abs(side - other).mean()


def test_a_body_has_two_lungs_from_the_front_and_one_field_from_the_side() -> None:
    """The middle column is dense with the spine in front, and air from the side."""
    body = somebody(seeded(0))
    front, side = (project(body, angle, seeded(1)) for angle in (0, 90))
    middle, rows = slice(GRID // 2 - 12, GRID // 2 + 12), slice(int(0.3 * GRID), int(0.5 * GRID))
    lungs = slice(int(0.3 * GRID), int(0.36 * GRID))
    assert front[rows, middle].mean() > 1.5 * front[rows, lungs].mean()
    assert side[rows, middle].mean() < 0.9 * np.percentile(side, 90)
