"""Box regressors: IoU, the scale of targets, and the constant box that they must beat."""

from __future__ import annotations

import csv
from pathlib import Path

import keras
import numpy as np
import pytest

from training.experiments.boxes import build, constant_baseline, iou, scale_of
from training.experiments.transfer import How
from training.results.curves import pair_iou


def test_iou_of_boxes_worked_by_hand() -> None:
    true = [[0, 0, 10, 10]] * 6
    found = [
        [0, 0, 10, 10],  # the same
        [5, 0, 10, 10],  # half of each: 50 of 150
        [10, 0, 10, 10],  # touching
        [2, 2, 5, 5],  # inside: 25 of 100
        [8, 8, -6, -6],  # a negative extent is an empty box
        [-5, -5, 10, 10],  # 25 of 175
    ]
    expected = [1, 1 / 3, 0, 0.25, 0, 1 / 7]
    values = keras.ops.convert_to_numpy(iou(np.array(true), np.array(found)))
    assert values == pytest.approx(expected, abs=1e-6)


def test_iou_agrees_with_the_one_that_results_use() -> None:
    rng = np.random.default_rng(0)
    one, other = (rng.uniform(1, 60, (200, 4)).astype(np.float32) for _ in "ab")
    values = keras.ops.convert_to_numpy(iou(one, other))
    assert values == pytest.approx(pair_iou(one, other), abs=1e-5)


def test_targets_are_scaled_from_1024_or_left_there_by_mistake() -> None:
    assert 1024 * scale_of("scaled", 128) == 128
    assert scale_of("scaled", 64) == 0.0625
    assert scale_of("unscaled", 128) == 1


def test_a_regressor_gives_one_box_for_every_picture() -> None:
    model, _ = build("mobilenet", 32, How("none"))
    pictures = np.zeros((3, 32, 32, 3), np.uint8)
    assert model(pictures).shape == (3, 4)


def test_the_constant_box_comes_from_the_training_boxes() -> None:
    train = np.array([[0, 0, 10, 10]] * 3 + [[100, 100, 4, 4]], np.float32)
    other = np.array([[0, 0, 10, 10], [50, 50, 9, 9]], np.float32)
    box, scores = constant_baseline(train, {"test": other, "val": train[:2]})
    assert box == pytest.approx([0, 0, 10, 10])
    assert scores == pytest.approx({"test": 0.5, "val": 1.0})


def test_a_constant_box_scores_as_much_as_the_reports_regressor(real_data: Path) -> None:
    with (real_data / "rsna_labels" / "stage_2_train_labels.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["Target"] == "1"]
    boxes = np.array([[float(row[k]) for k in ("x", "y", "width", "height")] for row in rows])
    assert len(boxes) == 9555
    _, scores = constant_baseline(boxes, {"all": boxes})
    assert scores["all"] == pytest.approx(0.184, abs=0.003)
