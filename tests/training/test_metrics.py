"""The figures of merit, against cases worked by hand and a second way to compute them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from training import metrics


def boxes(*corners: tuple[float, ...]) -> np.ndarray:
    return np.array(corners, np.float64).reshape(-1, 4)


def score(predicted: np.ndarray, truth: np.ndarray, confidence: list[float] | None = None) -> float:
    sure = np.array(confidence if confidence is not None else [1.0] * len(predicted))
    (found,) = metrics.challenge_scores([(predicted, sure)], [truth])
    return float(found)


def test_thresholds_are_the_challenges() -> None:
    assert metrics.CHALLENGE_THRESHOLDS == (0.40, 0.45, 0.50, 0.55, 0.60, 0.65, 0.70, 0.75)


TRUE = boxes((0, 0, 100, 100))


@pytest.mark.parametrize(
    ("height", "hits"),
    [
        (40, 0),  # IoU exactly 0.40: no hit, the rule is "greater than"
        (40.01, 1),
        (45, 1),
        (50, 2),
        (60.01, 5),
        (75, 7),  # exactly the last threshold
        (75.01, 8),
        (100, 8),
    ],
)
def test_a_hit_needs_an_iou_greater_than_the_threshold(height: float, hits: int) -> None:
    assert score(boxes((0, 0, 100, height)), TRUE) == pytest.approx(hits / 8)


def test_a_film_with_neither_truth_nor_prediction_is_left_out() -> None:
    scores = metrics.challenge_scores(
        [(boxes(), np.array([])), (TRUE, np.array([0.5]))], [boxes(), TRUE]
    )
    assert np.isnan(scores[0])
    assert metrics.mean_score(scores) == 1.0


def test_any_box_on_a_film_without_truth_scores_nothing() -> None:
    assert score(TRUE, boxes()) == 0.0


def test_a_missed_film_scores_nothing() -> None:
    assert score(boxes(), TRUE) == 0.0


def test_false_positives_and_misses_count_alike() -> None:
    two = boxes((0, 0, 100, 100), (200, 0, 300, 100))
    assert score(two, TRUE) == pytest.approx(1 / 2)  # one TP, one FP
    assert score(TRUE, two) == pytest.approx(1 / 2)  # one TP, one FN
    away = boxes((0, 0, 100, 100), (500, 500, 600, 600))
    assert score(away, two) == pytest.approx(1 / 3)  # one TP, one FP, one FN


def test_one_true_box_is_found_once() -> None:
    assert score(boxes((0, 0, 100, 100), (0, 0, 100, 99)), TRUE) == pytest.approx(1 / 2)


def test_the_more_confident_box_chooses_first() -> None:
    truth = boxes((0, 0, 100, 100), (0, 50, 100, 150))
    # The first overlaps both true boxes (0.67 and 0.54), the second only the upper one (0.90).
    predicted = boxes((0, 20, 100, 120), (0, 0, 100, 90))
    # Choosing first, the first takes the upper box and leaves the second with nothing: up to 0.65
    # one hit of two boxes, then the second finds the upper one, which the first misses.
    assert score(predicted, truth, [0.9, 0.8]) == pytest.approx(1 / 3)
    # Choosing second, it is left the lower box, at the three thresholds below 0.54.
    assert score(predicted, truth, [0.8, 0.9]) == pytest.approx((3 * 1 + 5 * 1 / 3) / 8)


def plainly(predicted: np.ndarray, truth: np.ndarray, sure: np.ndarray, threshold: float) -> float:
    """The same rule written out pixel by pixel, for boxes with whole corners."""

    def area(box: np.ndarray) -> set[tuple[int, int]]:
        x0, y0, x1, y1 = (int(v) for v in box)
        return set(itertools.product(range(x0, x1), range(y0, y1)))

    free = list(range(len(truth)))
    found = 0
    for k in sorted(range(len(predicted)), key=lambda k: -sure[k]):
        mine = area(predicted[k])
        overlaps = {t: len(mine & area(truth[t])) / len(mine | area(truth[t])) for t in free}
        best = max(overlaps, key=lambda t: overlaps[t], default=None)
        if best is not None and overlaps[best] > threshold:
            free.remove(best)
            found += 1
    return found / (len(predicted) + len(truth) - found)


def test_random_films_agree_with_counting_pixels() -> None:
    rng = np.random.default_rng(3)
    for _ in range(60):

        def some(count: int) -> np.ndarray:
            low = rng.integers(0, 12, (count, 2))
            return np.hstack([low, low + rng.integers(3, 14, (count, 2))]).astype(np.float64)

        truth, predicted = some(int(rng.integers(1, 4))), some(int(rng.integers(1, 4)))
        sure = rng.permutation(len(predicted)) / 10 + 0.1
        expected = np.mean(
            [plainly(predicted, truth, sure, t) for t in metrics.CHALLENGE_THRESHOLDS]
        )
        assert score(predicted, truth, sure.tolist()) == pytest.approx(expected)


def test_auc_counts_pairs_and_ties_half() -> None:
    scores = np.array([0.1, 0.4, 0.4, 0.9])
    truth = np.array([False, False, True, True])
    assert metrics.auc(scores, truth) == pytest.approx(3.5 / 4)
    assert metrics.auc(-scores, truth) == pytest.approx(0.5 / 4)
    assert np.isnan(metrics.auc(scores, np.ones(4, bool)))


def test_calibration_error_and_brier_by_hand() -> None:
    probability = np.array([0.05, 0.05, 0.95, 0.95, 1.0])
    truth = np.array([False, True, True, True, True])
    # Bins 0 (2 films, .05 against .5) and 9 (3 films, .9667 against 1).
    assert metrics.expected_calibration_error(probability, truth) == pytest.approx(
        2 / 5 * 0.45 + 3 / 5 * (1 - 2.9 / 3)
    )
    assert metrics.brier(probability, truth) == pytest.approx((0.05**2 + 0.95**2 + 2 * 0.05**2) / 5)


def test_equal_mass_bins_hold_equally_many_films() -> None:
    probability = np.array([0.1, 0.2, 0.3, 0.4])
    truth = np.array([False, False, True, True])
    # Two bins of two films: .15 against 0, .35 against 1.
    assert metrics.expected_calibration_error(
        probability, truth, bins=2, equal_mass=True
    ) == pytest.approx((0.15 + 0.65) / 2)


def test_average_precision_by_hand_with_a_tie() -> None:
    scores = np.array([0.9, 0.8, 0.8, 0.7])
    truth = np.array([True, False, True, False])
    # Steps: recall 1/2 at precision 1, then recall 1 at precision 2/3.
    assert metrics.average_precision(scores, truth) == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert np.isnan(metrics.average_precision(scores, np.zeros(4, bool)))


def test_auc_by_ranks_is_auc_by_pairs() -> None:
    rng = np.random.default_rng(1)
    scores, truth = rng.integers(0, 8, 60) / 8, rng.random(60) < 0.4
    pairs = scores[truth][:, None] - scores[~truth][None]
    assert metrics.auc(scores, truth) == pytest.approx(((pairs > 0) + (pairs == 0) / 2).mean())


def test_the_table_of_the_challenge_is_one_column_a_threshold() -> None:
    half = boxes((0, 0, 100, 52))
    table = metrics.challenge_table([(half, np.array([0.5]))], [TRUE])
    assert table.tolist() == [[1, 1, 1, 0, 0, 0, 0, 0]]


def test_hits_are_told_in_the_order_the_boxes_came() -> None:
    found = boxes((500, 500, 600, 600), (0, 0, 100, 90), (0, 0, 100, 100))
    hit = metrics.hits(found, np.array([0.2, 0.5, 0.9]), TRUE, 0.4)
    assert hit.tolist() == [False, False, True]  # the surest takes the one true box


def test_the_interval_of_a_calibration_error_holds_its_value() -> None:
    # Well calibrated and few films: each draw is noisier than the films themselves.
    rng = np.random.default_rng(0)
    probability = rng.uniform(size=60)
    truth = rng.uniform(size=60) < probability
    patients = [str(k) for k in range(60)]

    def error(i: np.ndarray) -> float:
        return metrics.expected_calibration_error(probability[i], truth[i])

    plain = metrics.with_interval(error, patients, "ECE", draws=200)
    moved = metrics.with_interval(error, patients, "ECE", draws=200, debias=True)
    assert moved.low < moved.value < moved.high
    assert moved.high < plain.high
    draws = [error(i) for i in metrics.resample(patients, 200, 0)]
    assert np.mean(draws) > moved.value  # what is put right is there


def test_a_share_of_all_films_has_an_interval_by_the_number_of_patients() -> None:
    right = np.ones(20, bool)
    alone = metrics.proportion(right, [str(k) for k in range(20)], "share")
    pairs = metrics.proportion(right, [str(k // 2) for k in range(20)], "share")
    assert (alone.value, alone.high) == (1.0, 1.0)
    assert alone.low == pytest.approx(20 / (20 + 1.96**2), abs=1e-3)  # Wilson's, 0.839
    assert pairs.low == pytest.approx(10 / (10 + 1.96**2), abs=1e-3)
    none = metrics.proportion(~right, [str(k) for k in range(20)], "share")
    assert (none.low, none.value) == (0.0, 0.0)
    assert none.high == pytest.approx(1 - alone.low, abs=1e-4)
    assert np.isnan(metrics.proportion(right[:0], [], "share").value)


def test_an_interval_is_widened_to_its_value() -> None:
    found = metrics.rounded(0.1, 0.2, 0.3, "x")
    assert (found.low, found.value, found.high) == (0.1, 0.1, 0.3)


def test_intervals_draw_patients_not_films() -> None:
    # One patient with 50 films of value 1, one with a single 0: drawing films would give a narrow
    # interval near 0.98, drawing patients must reach both ends.
    values = np.array([1.0] * 50 + [0.0])
    found = metrics.with_interval(
        lambda i: float(values[i].mean()), ["a"] * 50 + ["b"], "mean", draws=200
    )
    assert (found.low, found.high) == (0.0, 1.0)
    assert found.value == pytest.approx(50 / 51, abs=1e-4)


def test_intervals_are_the_same_every_time() -> None:
    values = np.random.default_rng(0).normal(size=30)
    patients = [str(k // 2) for k in range(30)]

    def mean(i: np.ndarray) -> float:
        return float(values[i].mean())

    first = metrics.with_interval(mean, patients, "mean")
    assert first == metrics.with_interval(mean, patients, "mean")
    assert first.low < first.value < first.high
