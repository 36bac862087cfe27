"""Targets and losses of the box head and the heat map."""

from __future__ import annotations

import numpy as np
import pytest

from training.losses import LEVELS, CellLoss, HeatLoss, encode, heat_target
from training.networks import OPACITY_PRIOR, REACH, decode, locations

SIZE = 128
BOX = np.array([[20, 30, 80, 110]], np.float32)


def cells_for(boxes: np.ndarray, target: np.ndarray, *, sure: float) -> np.ndarray:
    """Cells that say exactly what the target asks for."""
    at = locations(SIZE)
    centre = at[:, :2]
    cells = np.zeros((1, len(centre), 5), np.float32)
    cells[0, :, 0] = np.where(target[:, 0] == 1, sure, -sure)
    reach = np.hstack([centre - target[:, 1:3], target[:, 3:] - centre])
    cells[0, :, 1:] = np.log(np.clip(reach, 1, None) / (REACH * at[:, 2:]))
    return cells


def loss(cells: np.ndarray, *targets: np.ndarray) -> float:
    return float(CellLoss(SIZE)(np.stack(targets), cells))


def test_locations_are_the_cells_centres_in_row_order() -> None:
    found = locations(SIZE)
    assert found.shape == (8 * 8 + 4 * 4, 3)
    assert found[0].tolist() == [8, 8, 16]
    assert found[1].tolist() == [24, 8, 16]
    assert found[64].tolist() == [16, 16, 32]
    assert found[-1].tolist() == [112, 112, 32]


def test_the_middle_of_a_box_is_positive_its_rim_left_out_the_rest_negative() -> None:
    target = encode(BOX, SIZE)
    state = {
        tuple(at): float(s) for at, s in zip(locations(SIZE).tolist(), target[:, 0], strict=True)
    }
    assert state[48, 80, 32] == 1
    assert state[24, 40, 16] == -1
    assert state[120, 120, 16] == 0
    assert state[8, 72, 16] == 0
    assert (target[target[:, 0] == 1, 1:] == BOX[0]).all()


def test_a_box_smaller_than_a_cell_still_has_a_location() -> None:
    target = encode(np.array([[33, 33, 37, 37]], np.float32), SIZE)
    assert (target[:, 0] == 1).sum() == 1


def test_where_boxes_overlap_the_smaller_has_the_location() -> None:
    small = np.array([[33, 60, 67, 94]], np.float32)
    target = encode(np.vstack([small, BOX]), SIZE)
    at = locations(SIZE).tolist().index([48, 80, 32])
    assert target[at, 1:].tolist() == small[0].tolist()
    assert BOX[0].tolist() in target[:, 1:].tolist()


def test_decoding_undoes_the_targets() -> None:
    target = encode(BOX, SIZE)
    boxes, scores = decode(cells_for(BOX, target, sure=5), SIZE)
    positive = target[:, 0] == 1
    assert np.abs(np.asarray(boxes)[0, positive] - BOX[0]).max() < 0.01
    assert np.asarray(scores)[0, positive] == pytest.approx(1 / (1 + np.exp(-5)))


def test_cells_that_are_right_lose_almost_nothing_and_wrong_ones_much() -> None:
    target = encode(BOX, SIZE)
    right = cells_for(BOX, target, sure=8)
    assert loss(right, target) < 1e-3
    moved = right.copy()
    moved[:, :, 1] -= 1.0
    assert loss(moved, target) > 0.1
    blind = right.copy()
    blind[:, :, 0] = -8
    assert loss(blind, target) > 0.1


def test_the_rim_of_a_box_costs_nothing_either_way() -> None:
    target = encode(BOX, SIZE)
    cells = cells_for(BOX, target, sure=3)
    other = cells.copy()
    other[0, target[:, 0] == -1, 0] = 3
    assert loss(cells, target) == pytest.approx(loss(other, target))


def test_a_film_without_boxes_asks_for_silence() -> None:
    nothing = encode(np.zeros((0, 4), np.float32), SIZE)
    quiet = cells_for(BOX, nothing, sure=8)
    assert loss(quiet, nothing) < 1e-3
    loud = quiet.copy()
    loud[:, :, 0] = 3
    assert loss(loud, nothing) > 1
    prior = quiet.copy()
    prior[:, :, 0] = np.log(OPACITY_PRIOR / (1 - OPACITY_PRIOR))
    assert loss(prior, nothing) < 0.05


def test_a_level_stands_for_boxes_of_its_size_and_leaves_the_others_out() -> None:
    at = locations(256)
    for part, levels in ((0.15, {16}), (0.3, {16, 32}), (0.6, {32})):
        side = part * 256
        target = encode(np.array([[20, 20, 20 + side, 20 + side]], np.float32), 256)
        assert set(at[target[:, 0] == 1, 2].tolist()) == levels
        within = (at[:, :2] > 20).all(axis=1) & (at[:, :2] < 20 + side).all(axis=1)
        assert (target[within, 0] != 0).all()
    assert LEVELS[0][1] > LEVELS[1][0]


def test_the_heat_target_is_the_part_of_each_cell_that_is_covered() -> None:
    boxes = np.array([[8, 16, 48, 32], [40, 16, 48, 24]], np.float32)
    found = heat_target(boxes, 64)
    assert found.tolist() == [[0, 0, 0, 0], [0.5, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert not heat_target(np.zeros((0, 4), np.float32), 64).any()


def test_the_heat_loss_is_the_mean_binary_cross_entropy() -> None:
    logits = np.array([[[2.0, -1.0], [0.0, 30.0]]], np.float32)
    target = np.array([[[1.0, 0.0], [0.5, 1.0]]], np.float32)
    chance = 1 / (1 + np.exp(-logits.astype(np.float64)))
    expected = -(target * np.log(chance) + (1 - target) * np.log(1 - chance + 1e-30)).mean()
    assert float(HeatLoss()(target, logits)) == pytest.approx(expected, rel=1e-5)


def test_the_loss_is_a_mean_over_films() -> None:
    target, nothing = encode(BOX, SIZE), encode(np.zeros((0, 4), np.float32), SIZE)
    cells = cells_for(BOX, target, sure=1)
    alone = [loss(cells, target), loss(cells, nothing)]
    assert loss(np.vstack([cells, cells]), target, nothing) == pytest.approx(np.mean(alone))
