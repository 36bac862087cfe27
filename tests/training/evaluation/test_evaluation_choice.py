"""Temperature and operating points, by hand and by what they are for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from inference.calibration import Calibration
from tests.training.evaluation.judged import films
from training.evaluation.choice import calibrate, choose, operating_points


def test_operating_points_by_hand() -> None:
    opacity = np.array([0.1, 0.2, 0.3, 0.6, 0.4, 0.7, 0.8, 0.9])
    truth = np.array([0, 0, 0, 0, 1, 1, 1, 1], bool)
    points = operating_points(opacity, truth)
    # Between .3 and .4: all positives, 3 of 4 negatives. Between .6 and .7 is the mirror of it;
    # the first of equals is taken.
    assert points["youden"].threshold == pytest.approx(0.35)
    assert (points["youden"].sensitivity, points["youden"].specificity) == (1.0, 0.75)
    assert points["sensitivity_95"] == points["youden"]
    assert points["specificity_90"].threshold == pytest.approx(0.65)
    assert points["specificity_90"].specificity == 1.0


def test_calibration_brings_overconfident_logits_back() -> None:
    calm = films(150)
    loud = replace(calm, outputs=replace(calm.outputs, logits=calm.outputs.logits * 4))
    best = choose(loud).calibration
    assert best.temperature / choose(calm).calibration.temperature == pytest.approx(4, rel=0.05)

    def loss(calibration: Calibration) -> float:
        p = calibration(loud.outputs.logits)[np.arange(len(loud.labels)), loud.labels]
        return float(-np.log(p).mean())

    worse = [
        replace(best, temperature=best.temperature * 1.2),
        replace(best, temperature=best.temperature / 1.2),
        replace(best, biases=(0.0, best.biases[1] + 0.2, best.biases[2])),
        replace(best, biases=(0.0, best.biases[1], best.biases[2] - 0.2)),
        Calibration(1.0),
    ]
    assert loss(best) < min(map(loss, worse))


def test_calibration_moves_the_classes_shares_to_those_of_the_films() -> None:
    judged = films(150)
    shifted = judged.outputs.logits + np.array([0.0, -2.0, 3.0], np.float32)
    found = calibrate(shifted, judged.labels)(shifted).mean(axis=0)
    shares = np.bincount(judged.labels, minlength=3) / len(judged.labels)
    assert found == pytest.approx(shares, abs=0.01)


def test_calibration_of_films_told_apart_without_error_ends() -> None:
    labels = np.arange(30, dtype=np.int32) % 3
    perfect = calibrate(np.eye(3, dtype=np.float32)[labels] * 9, labels)
    assert 0 < perfect.temperature < 20
    alone = calibrate(np.zeros((4, 3), np.float32), np.full(4, 2, np.int32))
    assert np.isfinite(alone.biases).all()


def test_operating_points_where_every_film_is_alike() -> None:
    points = operating_points(np.full(4, 0.5), np.array([True, True, False, False]))
    assert points["sensitivity_95"].sensitivity == 1.0
    assert points["specificity_90"].specificity == 1.0


def test_boxes_nobody_looked_for_do_not_count_in_the_choice() -> None:
    judged = films(60)
    unknown = replace(judged, truth=[None if k % 2 else t for k, t in enumerate(judged.truth)])
    half = judged.take(np.arange(60) % 2 == 0)
    assert choose(unknown).operating_points == choose(judged).operating_points
    assert choose(half).boxes is not None
    everywhere = replace(judged, truth=[None] * 60)
    assert choose(everywhere).calibration == choose(judged).calibration
