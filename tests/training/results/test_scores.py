"""Hard labels: counted, summed up, and derived back from the report's printed figures."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics as judge

from training.results.scores import (
    COLLAPSED_LOSS,
    Confusion,
    ScoreError,
    confusion,
    cross_entropy,
    from_printed,
    precision_at,
)

PRINTED = [
    # accuracy, precision, recall, F1 and "ROC" as printed; TP, FN, FP, TN that follow.
    ("VGG16", 0.7275, 0.7212, 0.7416, 0.7313, 0.7275, (445, 155, 172, 428)),
    ("ResNet50", 0.7158, 0.7198, 0.7066, 0.7132, 0.7158, (424, 176, 165, 435)),
    ("InceptionV3", 0.655, 0.7409, 0.4766, 0.5801, 0.655, (286, 314, 100, 500)),
    ("DenseNet121", 0.7325, 0.6913, 0.84, 0.7584, 0.7324, (504, 96, 225, 375)),
    ("CheXNet", 0.7925, 0.7655, 0.8433, 0.8025, 0.7925, (506, 94, 155, 445)),
]


@pytest.mark.parametrize("row", PRINTED, ids=lambda row: row[0])
def test_the_reports_transfer_rows_have_exactly_one_confusion_matrix(
    row: tuple[str, float, float, float, float, float, tuple[int, int, int, int]],
) -> None:
    _, accuracy, precision, recall, f1, roc, (tp, fn, fp, tn) = row
    found = from_printed(accuracy=accuracy, precision=precision, recall=recall, films=(600, 600))
    assert found == Confusion(tp=tp, fn=fn, fp=fp, tn=tn)
    # The figures that were not used to find it fit too, and "ROC" is balanced accuracy.
    assert found.of_class(1).f1 == pytest.approx(f1, abs=1e-4)
    assert found.balanced_accuracy == pytest.approx(roc, abs=1.01e-4)


def test_printed_figures_that_fit_no_matrix_or_several_are_refused() -> None:
    with pytest.raises(ScoreError, match=r"^0 confusion matrices of 600"):
        from_printed(accuracy=0.9, precision=0.1, recall=0.5, films=(600, 600))
    with pytest.raises(ScoreError, match=r"^[1-9][0-9]+ confusion matrices"):
        from_printed(accuracy=0.69, precision=0.67, recall=0.77, films=(600, 600), unit=0.01)


def test_a_matrix_by_hand() -> None:
    truth = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    called = np.array([1, 1, 1, 0, 1, 0, 0, 0, 0, 1])
    found = confusion(truth, called)
    assert found == Confusion(tp=3, fn=1, fp=2, tn=4)
    assert found.accuracy == 0.7
    assert (found.sensitivity, found.specificity) == (0.75, pytest.approx(2 / 3))
    assert found.balanced_accuracy == pytest.approx((0.75 + 2 / 3) / 2)
    one, zero = found.of_class(1), found.of_class(0)
    assert (one.precision, one.recall, one.films) == (0.6, 0.75, 4)
    assert (zero.precision, zero.recall, zero.films) == (0.8, pytest.approx(2 / 3), 6)
    assert one.f1 == pytest.approx(2 * 0.6 * 0.75 / 1.35)
    assert found.one_class is None


def test_random_labels_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        truth, called = rng.integers(2, size=60), rng.integers(2, size=60)
        found = confusion(truth, called)
        precision, recall, f1, films = judge.precision_recall_fscore_support(truth, called)
        for which in (0, 1):
            ours = found.of_class(which)
            assert (ours.precision, ours.recall, ours.f1, ours.films) == pytest.approx(
                (precision[which], recall[which], f1[which], films[which])
            )
        assert found.balanced_accuracy == pytest.approx(
            judge.balanced_accuracy_score(truth, called)
        )
        assert found.balanced_accuracy == pytest.approx(judge.roc_auc_score(truth, called))


@pytest.mark.parametrize("answer", [0, 1])
def test_a_network_that_always_says_the_same_is_known_by_it(answer: int) -> None:
    found = confusion(np.array([0, 1, 0, 1]), np.full(4, answer))
    assert found.one_class == answer
    assert found.accuracy == found.balanced_accuracy == 0.5
    assert found.of_class(answer).recall == 1.0
    assert math.isnan(found.of_class(1 - answer).precision)


def test_no_films_have_no_figures() -> None:
    assert math.isnan(Confusion(0, 0, 0, 0).accuracy)


def test_cross_entropy_of_one_half_is_the_collapsed_loss() -> None:
    truth = np.array([0, 1, 1])
    assert cross_entropy(truth, np.full(3, 0.5)) == pytest.approx(COLLAPSED_LOSS)
    assert round(100 * COLLAPSED_LOSS, 2) == 69.31
    assert cross_entropy(truth, np.array([0.2, 0.9, 0.6])) == pytest.approx(
        -(math.log(0.8) + math.log(0.9) + math.log(0.6)) / 3
    )
    assert cross_entropy(truth, np.array([1.0, 0.0, 0.0])) == pytest.approx(-math.log(1e-7))


def test_precision_falls_with_the_share_of_positives() -> None:
    chexnet = Confusion(tp=506, fn=94, fp=155, tn=445)
    half = precision_at(chexnet.sensitivity, chexnet.specificity, 0.5)
    true_mix = precision_at(chexnet.sensitivity, chexnet.specificity, 6012 / 26684)
    assert half == pytest.approx(506 / 661)
    # By hand: .8433 x .2253 = .1900 against .2583 x .7747 = .2001.
    assert true_mix == pytest.approx(0.4870, abs=1e-4)
