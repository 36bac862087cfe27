"""DeLong's variance, against its definition, by hand and by drawing samples."""

from __future__ import annotations

import numpy as np
import pytest

from training.evaluation.delong import auc_covariance, auc_difference, auc_interval


def alone(count: int) -> list[str]:
    return [f"p{k}" for k in range(count)]


def by_definition(scores: np.ndarray, truth: np.ndarray) -> float:
    """DeLong's variance with every pair written out."""
    positive, negative = scores[truth], scores[~truth]
    psi = (positive[:, None] > negative) + (positive[:, None] == negative) / 2
    by_positive, by_negative = psi.mean(axis=1), psi.mean(axis=0)
    return float(by_positive.var(ddof=1) / len(positive) + by_negative.var(ddof=1) / len(negative))


def test_the_variance_is_delongs_where_every_patient_has_one_film() -> None:
    rng = np.random.default_rng(5)
    truth = rng.random(50) < 0.4
    scores = np.round(rng.normal(size=50) + truth, 1)  # with ties
    aucs, covariance = auc_covariance([scores], truth, alone(50))
    assert covariance[0, 0] == pytest.approx(by_definition(scores, truth))
    assert 0.5 < aucs[0] < 1


def test_by_hand() -> None:
    # Positives .4 .8 beat 1 and 2 of the negatives .2 .6: components 1/2, 1 and 1, 1/2.
    scores = np.array([0.4, 0.8, 0.2, 0.6])
    truth = np.array([True, True, False, False])
    aucs, covariance = auc_covariance([scores], truth, alone(4))
    assert aucs[0] == pytest.approx(0.75)
    assert covariance[0, 0] == pytest.approx(0.125 / 2 + 0.125 / 2)


def test_films_of_one_patient_say_less_than_films_of_many() -> None:
    rng = np.random.default_rng(2)
    truth = np.arange(40) < 20
    scores = rng.normal(size=40) + truth
    once = auc_covariance([scores], truth, alone(40))[1][0, 0]
    twice = np.tile(scores, 2), np.tile(truth, 2)
    told_apart = auc_covariance([twice[0]], twice[1], alone(80))[1][0, 0]
    together = auc_covariance([twice[0]], twice[1], alone(40) * 2)[1][0, 0]
    assert together == pytest.approx(once, rel=1e-9)  # a copy of every film adds nothing
    assert told_apart < 0.6 * together


def test_the_interval_covers_as_often_as_it_says() -> None:
    # Two normals one apart: AUC = Phi(1 / sqrt 2) = 0.7602.
    rng = np.random.default_rng(11)
    truth = np.arange(120) < 50
    covered = 0
    for _ in range(300):
        found = auc_interval(rng.normal(size=120) + truth, truth, alone(120), "AUC")
        covered += found.low <= 0.7602 <= found.high
    assert 0.91 <= covered / 300 <= 0.985


def test_patients_with_films_of_both_classes_are_taken_together() -> None:
    # Each patient has one film of either class and a level of his own, which cancels out within
    # him: the AUC varies less than that of as many films of strangers.
    rng = np.random.default_rng(8)
    truth = np.arange(80) < 40
    patients = alone(40) * 2
    aucs, together, strangers = [], [], []
    for _ in range(400):
        scores = np.tile(rng.normal(0, 1.5, 40), 2) + truth + rng.normal(0, 0.7, 80)
        value, covariance = auc_covariance([scores], truth, patients)
        aucs.append(value[0])
        together.append(covariance[0, 0])
        strangers.append(auc_covariance([scores], truth, alone(80))[1][0, 0])
    assert np.mean(together) == pytest.approx(np.var(aucs), rel=0.2)
    assert np.mean(strangers) > 1.5 * np.var(aucs)


def test_a_pair_that_is_the_same_differs_by_nothing() -> None:
    rng = np.random.default_rng(3)
    truth = rng.random(30) < 0.5
    scores = rng.normal(size=30)
    found = auc_difference(scores, scores, truth, alone(30), "difference")
    assert (found.difference.value, found.p) == (0.0, 1.0)


def test_a_pair_on_the_same_films_is_told_apart_better_than_one_on_others() -> None:
    rng = np.random.default_rng(4)
    truth = np.arange(200) < 80
    film = rng.normal(size=200) + truth
    better, worse = film + rng.normal(0, 0.3, 200), film + rng.normal(0, 1.2, 200)
    found = auc_difference(better, worse, truth, alone(200), "difference")
    _, covariance = auc_covariance([better, worse], truth, alone(200))
    assert found.difference.value > 0
    assert found.p < 0.01
    assert covariance[0, 1] > 0
    assert found.difference.low > 0
    swapped = auc_difference(worse, better, truth, alone(200), "difference")
    assert swapped.difference.value == pytest.approx(-found.difference.value)
    assert swapped.p == pytest.approx(found.p)


def test_without_a_class_there_is_no_figure() -> None:
    found = auc_interval(np.array([0.1, 0.2]), np.array([True, True]), alone(2), "AUC")
    assert np.isnan(found.value)


def test_one_patient_of_a_class_tells_nothing_of_the_spread() -> None:
    scores, truth = np.array([0.9, 0.2, 0.1]), np.array([True, False, False])
    found = auc_interval(scores, truth, alone(3), "AUC")
    assert (found.low, found.value, found.high) == (0.0, 1.0, 1.0)
    pair = auc_difference(scores, -scores, truth, alone(3), "difference")
    assert (pair.difference.low, pair.difference.value, pair.difference.high) == (-1.0, 1.0, 1.0)
    assert pair.p == 1.0
