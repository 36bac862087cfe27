"""Candidates become boxes by one rule, whoever ran the network."""

from __future__ import annotations

import numpy as np
import pytest

from inference.manifest import Suppression
from inference.suppression import iou, shrink, suppress

PLAIN = Suppression(
    score=0.1, iou=0.5, relative_score=0.0, most=10, shrink=1.0, times_opacity=False
)


def run(
    boxes: list[tuple[float, ...]], scores: list[float], rule: Suppression, opacity: float = 1.0
) -> tuple[list[list[float]], list[float]]:
    corners, kept = suppress(
        np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32), opacity, rule
    )
    return corners.tolist(), [round(score, 5) for score in kept.tolist()]


def changed(**fields: float) -> Suppression:
    values = {name: getattr(PLAIN, name) for name in PLAIN.__dataclass_fields__}
    return Suppression(**{**values, **fields})


def test_the_better_of_two_overlapping_boxes_stays() -> None:
    boxes = [(0, 0, 10, 10), (0, 0, 10, 9), (50, 50, 60, 60)]
    assert run(boxes, [0.5, 0.9, 0.3], PLAIN) == (
        [[0, 0, 10, 9], [50, 50, 60, 60]],
        [0.9, 0.3],
    )


def test_a_box_that_overlaps_only_a_removed_one_stays() -> None:
    # 0 removes 1; 2 overlaps 1 and not 0, so it must not be removed by the removed box.
    boxes = [(0, 0, 10, 10), (3, 0, 13, 10), (6, 0, 16, 10)]
    corners, _ = run(boxes, [0.9, 0.8, 0.7], PLAIN)
    assert corners == [[0, 0, 10, 10], [6, 0, 16, 10]]


@pytest.mark.parametrize(("limit", "kept"), [(0.5, 2), (0.49, 1)])
def test_an_overlap_of_exactly_the_limit_is_allowed(limit: float, kept: int) -> None:
    boxes = [(0, 0, 10, 10), (0, 0, 10, 5)]  # IoU 0.5
    assert len(run(boxes, [0.9, 0.8], changed(iou=limit))[0]) == kept


@pytest.mark.parametrize(("score", "kept"), [(0.25, 1), (0.249, 0)])
def test_a_score_of_exactly_the_least_is_kept(score: float, kept: int) -> None:
    assert len(run([(0, 0, 10, 10)], [score], changed(score=0.25))[0]) == kept


def test_the_opacity_probability_weighs_scores_where_the_rule_says_so() -> None:
    boxes = [(0, 0, 10, 10), (50, 50, 60, 60)]
    assert run(boxes, [0.8, 0.3], changed(times_opacity=True), 0.5) == (
        [[0, 0, 10, 10], [50, 50, 60, 60]],
        [0.4, 0.15],
    )
    assert run(boxes, [0.8, 0.15], changed(times_opacity=True), 0.5)[1] == [0.4]
    assert run(boxes, [0.8, 0.3], PLAIN, 0.5)[1] == [0.8, 0.3]


def test_boxes_far_below_the_films_best_are_dropped() -> None:
    boxes = [(0, 0, 10, 10), (50, 50, 60, 60), (80, 80, 90, 90)]
    assert run(boxes, [0.8, 0.4, 0.39], changed(relative_score=0.5))[1] == [0.8, 0.4]


def test_no_more_boxes_than_allowed_and_the_best_first() -> None:
    boxes = [(20 * k, 0, 20 * k + 10, 10) for k in range(5)]
    assert run(boxes, [0.2, 0.9, 0.3, 0.5, 0.4], changed(most=3))[1] == [0.9, 0.5, 0.4]


def test_boxes_shrink_about_their_centre_after_suppression() -> None:
    corners, _ = run([(0, 0, 16, 32)], [0.9], changed(shrink=0.875))
    assert corners == [[1, 2, 15, 30]]


def test_empty_and_turned_over_boxes_are_left_out() -> None:
    assert run([(5, 5, 5, 9), (9, 9, 2, 12)], [0.9, 0.9], PLAIN) == ([], [])
    assert run([], [], PLAIN) == ([], [])


def test_iou_of_known_pairs() -> None:
    a = np.array([[0, 0, 10, 10], [0, 0, 0, 0]], np.float32)
    b = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30]], np.float32)
    assert iou(a, b) == pytest.approx(np.array([[1, 1 / 3, 0], [0, 0, 0]]))


def test_shrinking_by_one_changes_nothing() -> None:
    boxes = np.array([[1, 2, 30, 40]], np.float32)
    assert shrink(boxes, 1.0).tolist() == boxes.tolist()
