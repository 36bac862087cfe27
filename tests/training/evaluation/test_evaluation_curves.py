"""ROC, precision and recall, FROC and reliability by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.evaluation.cases import BOX, case
from training import metrics
from training.evaluation.curves import (
    find_boxes,
    froc,
    precision_recall,
    reliability,
    roc,
    sensitivity_at,
)

AWAY = (60.0, 60.0, 90.0, 90.0)


def test_roc_by_hand_and_its_area() -> None:
    scores = np.array([0.9, 0.6, 0.6, 0.1])
    truth = np.array([True, True, False, False])
    curve = roc(scores, truth)
    assert curve.x.tolist() == [0, 0, 0.5, 1]
    assert curve.y.tolist() == [0, 0.5, 1, 1]
    assert np.trapezoid(curve.y, curve.x) == pytest.approx(metrics.auc(scores, truth))


def test_precision_and_recall_by_hand() -> None:
    curve = precision_recall(np.array([0.9, 0.6, 0.5]), np.array([True, False, True]))
    assert curve.x.tolist() == [0.5, 0.5, 1]
    assert curve.y.tolist() == pytest.approx([1, 0.5, 2 / 3])


def test_froc_by_hand() -> None:
    films = [
        case(0, 0.9, 2, candidates=((*BOX, 0.9), (*AWAY, 0.7))),  # found, then one false
        case(1, 0.9, 2, candidates=((*AWAY, 0.8), (*BOX, 0.3))),  # one false, then found
        case(2, 0.1, 0, candidates=((*BOX, 0.5),)),  # false: nothing is there
        case(3, 0.1, 0),
    ]
    found = find_boxes(films)
    assert found.score.tolist() == [0.9, 0.8, 0.7, 0.5, 0.3]
    assert found.hit.tolist() == [True, False, False, False, True]
    curve = froc(found)
    assert curve.x.tolist() == [0, 0, 0.25, 0.5, 0.75, 0.75]
    assert curve.y.tolist() == [0, 0.5, 0.5, 0.5, 0.5, 1.0]
    assert sensitivity_at(curve, 0.5) == 0.5
    assert sensitivity_at(curve, 0.75) == 1.0
    assert sensitivity_at(curve, 8) == 1.0


def test_froc_of_a_bootstrap_sample_is_froc_of_those_films() -> None:
    rng = np.random.default_rng(0)
    films = [
        case(k, 0.5, 2 * (k % 2), candidates=((*BOX, rng.random()), (*AWAY, rng.random())))
        for k in range(8)
    ]
    drawn = np.array([0, 1, 1, 3, 6, 6, 6, 7])
    ours = froc(find_boxes(films), drawn)
    theirs = froc(find_boxes([films[k] for k in drawn]))
    for rate in (0.25, 0.5, 1.0, 2.0):
        assert sensitivity_at(ours, rate) == pytest.approx(sensitivity_at(theirs, rate))


def test_boxes_of_one_score_are_taken_together() -> None:
    films = [case(0, 0.9, 2, candidates=((*BOX, 0.5), (*AWAY, 0.5)))]
    curve = froc(find_boxes(films))
    assert (curve.x.tolist(), curve.y.tolist()) == ([0, 1], [0, 1])


def test_reliability_has_bins_of_equally_many_films() -> None:
    probability = np.linspace(0.05, 0.95, 20)
    truth = probability > 0.5
    bins = reliability(probability, truth)
    assert [each.films for each in bins] == [2] * 10
    assert [each.frequency for each in bins] == [0.0] * 5 + [1.0] * 5
    assert all(0 <= each.low <= each.frequency <= each.high <= 1 for each in bins)
    # Wilson's interval for 0 of 2: 0 to z^2 / (2 + z^2).
    assert bins[0].high == pytest.approx(1.96**2 / (2 + 1.96**2), abs=1e-4)
