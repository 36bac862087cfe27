"""Curves and intervals against cases worked by hand, scikit-learn, and slower ways."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics as judge

from inference.suppression import iou
from training import metrics
from training.results.curves import (
    auc,
    auc_interval,
    challenge,
    constant_box,
    corners,
    delong_difference,
    delong_interval,
    pair_iou,
    precision_recall,
    roc,
)

# Three positives (.8 .6 .4) and two negatives (.5 .3): five of the six pairs are in order.
PROBABILITY = np.array([0.8, 0.6, 0.4, 0.5, 0.3])
TRUTH = np.array([True, True, True, False, False])


def noisy(count: int, seed: int, *, ties: bool) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    rng = np.random.default_rng(seed)
    truth = rng.random(count) < 0.4
    truth[:4] = [True, False, True, False]
    values = 1 / (1 + np.exp(-(rng.normal(size=count) + truth)))
    return (values.round(1) if ties else values), truth


def test_roc_by_hand() -> None:
    curve = roc(PROBABILITY, TRUTH)
    assert curve.x.tolist() == [0, 0, 0, 0.5, 0.5, 1]
    assert curve.y.tolist() == pytest.approx([0, 1 / 3, 2 / 3, 2 / 3, 1, 1])
    assert curve.area == pytest.approx(5 / 6)


def test_precision_recall_by_hand() -> None:
    curve = precision_recall(PROBABILITY, TRUTH)
    assert curve.x.tolist() == pytest.approx([1 / 3, 2 / 3, 2 / 3, 1, 1])
    assert curve.y.tolist() == pytest.approx([1, 1, 2 / 3, 3 / 4, 3 / 5])
    assert curve.area == pytest.approx((1 + 1 + 3 / 4) / 3)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_curves_agree_with_scikit_learn(seed: int, ties: bool) -> None:
    probability, truth = noisy(80, seed, ties=ties)
    ours = roc(probability, truth)
    x, y, _ = judge.roc_curve(truth, probability, drop_intermediate=False)
    assert ours.x.tolist() == pytest.approx(x.tolist())
    assert ours.y.tolist() == pytest.approx(y.tolist())
    assert ours.area == pytest.approx(judge.roc_auc_score(truth, probability))
    assert np.trapezoid(ours.y, ours.x) == pytest.approx(ours.area)
    assert auc(probability, truth) == pytest.approx(metrics.auc(probability, truth))
    assert precision_recall(probability, truth).area == pytest.approx(
        judge.average_precision_score(truth, probability)
    )


def test_one_class_alone_has_no_area() -> None:
    for truth in (np.ones(3, bool), np.zeros(3, bool)):
        assert math.isnan(roc(np.array([0.1, 0.2, 0.3]), truth).area)
    assert math.isnan(precision_recall(np.array([0.1]), np.zeros(1, bool)).area)
    assert precision_recall(np.array([0.1]), np.ones(1, bool)).area == 1.0


def test_delong_by_hand() -> None:
    # Placements: positives 1, 1, 1/2 (variance 1/12); negatives 2/3, 1 (variance 1/18).
    # Variance of the AUC: 1/12 / 3 + 1/18 / 2 = 1/18.
    found = delong_interval(PROBABILITY, TRUTH)
    assert found.value == pytest.approx(5 / 6)
    assert found.low == pytest.approx(5 / 6 - 1.959964 * math.sqrt(1 / 18), abs=1e-6)
    assert found.high == 1.0  # 1.295 is cut at 1


def test_delong_pair_by_hand() -> None:
    # The other classifier: positives .9 .2 .7, negatives .6 .1. Placements 1, 1/2, 1 and 2/3, 1.
    # Covariance with the first: positives (1, 1, 1/2) with (1, 1/2, 1) -1/24, negatives 1/18.
    other = np.array([0.9, 0.2, 0.7, 0.6, 0.1])
    found = delong_difference(PROBABILITY, other, TRUTH)
    variance = 1 / 18 + 1 / 18 - 2 * (-1 / 24 / 3 + 1 / 18 / 2)
    assert found.value == pytest.approx(0)
    assert found.high == pytest.approx(1.959964 * math.sqrt(variance), abs=1e-6)
    assert found.low == -found.high
    assert found.p == pytest.approx(1)


def covariance_plainly(
    one: NDArray[np.float64], other: NDArray[np.float64], truth: NDArray[np.bool_]
) -> float:
    """DeLong's covariance written out over all pairs."""

    def placed(values: NDArray[np.float64]) -> tuple[list[float], list[float]]:
        def kernel(x: float, y: float) -> float:
            return 1.0 if x > y else 0.5 if x == y else 0.0

        positive, negative = values[truth], values[~truth]
        return (
            [sum(kernel(x, y) for y in negative) / len(negative) for x in positive],
            [sum(kernel(x, y) for x in positive) / len(positive) for y in negative],
        )

    def cov(a: list[float], b: list[float]) -> float:
        mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
        both = zip(a, b, strict=True)
        return sum((x - mean_a) * (y - mean_b) for x, y in both) / (len(a) - 1)

    (a10, a01), (b10, b01) = placed(one), placed(other)
    return cov(a10, b10) / len(a10) + cov(a01, b01) / len(a01)


@pytest.mark.parametrize("ties", [False, True])
def test_delong_agrees_with_all_pairs_written_out(ties: bool) -> None:
    one, truth = noisy(60, 1, ties=ties)
    other = np.clip(one + np.random.default_rng(9).normal(0, 0.2, 60), 0, 1)
    variance = covariance_plainly(one, one, truth)
    found = delong_interval(one, truth)
    assert found.low == pytest.approx(found.value - 1.959964 * math.sqrt(variance), abs=1e-6)
    pair = delong_difference(one, other, truth)
    variance += covariance_plainly(other, other, truth) - 2 * covariance_plainly(one, other, truth)
    assert pair.value == pytest.approx(metrics.auc(one, truth) - metrics.auc(other, truth))
    assert pair.high - pair.low == pytest.approx(2 * 1.959964 * math.sqrt(variance), abs=1e-6)
    assert pair.p == pytest.approx(math.erfc(abs(pair.value) / math.sqrt(2 * variance)), abs=1e-6)


def test_delong_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    truth = np.arange(120) < 60
    exact = 0.5 * (1 + math.erf(0.5))  # P(N(1, 1) > N(0, 1)) = Phi(1 / sqrt 2)
    inside = 0
    for _ in range(400):
        found = delong_interval(rng.normal(size=120) + truth, truth)
        inside += found.low <= exact <= found.high
    assert 0.915 < inside / 400 < 0.985


def test_a_classifier_does_not_differ_from_itself() -> None:
    one, truth = noisy(40, 2, ties=False)
    found = delong_difference(one, one * 0.5, truth)
    assert (found.value, found.p) == (0.0, 1.0)


def test_too_few_films_have_no_interval() -> None:
    found = delong_interval(np.array([0.2, 0.9, 0.8]), np.array([False, True, True]))
    assert found.value == 1.0
    assert math.isnan(delong_difference(*[np.array([0.2, 0.9])] * 2, np.array([False, True])).low)


def test_the_bootstrap_draws_groups() -> None:
    # 30 patients, each with one film ten times over: drawn by film, the interval is far too narrow.
    one, truth = noisy(30, 3, ties=False)
    many, called = np.repeat(one, 10), np.repeat(truth, 10)
    by_film = auc_interval(many, called, [str(k) for k in range(300)], draws=300)
    by_patient = auc_interval(many, called, [str(k // 10) for k in range(300)], draws=300)
    alone = auc_interval(one, truth, [f"{k:02d}" for k in range(30)], draws=300)
    assert by_film.value == by_patient.value == alone.value
    assert by_patient.high - by_patient.low > 2 * (by_film.high - by_film.low)
    assert by_patient.low == pytest.approx(alone.low, abs=0.05)


def test_iou_of_pairs_by_hand() -> None:
    one = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 10], [5, 5, 0, 0]], float)
    other = np.array([[0, 0, 10, 10], [5, 0, 10, 10], [20, 20, 5, 5], [5, 5, 0, 0]], float)
    assert pair_iou(one, other).tolist() == pytest.approx([1, 1 / 3, 0, 0])


def test_iou_of_pairs_agrees_with_the_services() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.uniform(1, 50, (2, 40, 4))
    expected = np.diag(iou(corners(one), corners(other)))
    assert pair_iou(one, other).tolist() == pytest.approx(expected.tolist())


def test_the_constant_box_of_equal_boxes_is_that_box() -> None:
    boxes = np.tile([300.0, 200.0, 210.0, 305.0], (20, 1))
    assert constant_box(boxes).tolist() == [300, 200, 210, 305]


def test_the_constant_box_is_no_worse_than_any_on_a_grid() -> None:
    rng = np.random.default_rng(1)
    side = np.where(rng.random(60) < 0.5, 200, 600)
    boxes = np.stack([side, np.full(60, 350), np.full(60, 220), np.full(60, 300)], 1)
    boxes = boxes + rng.normal(0, 40, boxes.shape)
    best = pair_iou(np.tile(constant_box(boxes), (60, 1)), boxes).mean()
    grid = [
        pair_iou(np.tile([x, y, w, h], (60, 1)).astype(float), boxes).mean()
        for x in range(100, 800, 50)
        for y in (300, 350, 400)
        for w in (150, 220, 300, 600)
        for h in (200, 300, 400)
    ]
    assert best >= max(grid)


def test_the_constant_box_lies_in_one_lung_where_the_median_lies_between() -> None:
    # Boxes so narrow that no step from the median box, 360, overlaps with any.
    left, right = [200.0, 350, 60, 300], [520.0, 350, 60, 300]
    boxes = np.array([left] * 10 + [right] * 10)
    assert constant_box(boxes).tolist() in (left, right)


def test_no_boxes_have_no_constant_box() -> None:
    with pytest.raises(ValueError, match="no boxes"):
        constant_box(np.zeros((0, 4)))


Film = tuple[list[tuple[float, ...]], list[float], list[tuple[float, ...]]]


def challenge_plainly(films: list[Film]) -> float:
    """The challenge's rule over lists of x, y, width, height, as its page words it."""
    scores = []
    for predicted, confidence, truth in films:
        if not predicted and not truth:
            continue
        mean = 0.0
        for hundredths in range(40, 80, 5):
            free = list(truth)
            tp = 0
            for _, box in sorted(zip(confidence, predicted, strict=True), key=lambda p: -p[0]):
                best, overlap = None, 0.0
                for other in free:
                    w = min(box[0] + box[2], other[0] + other[2]) - max(box[0], other[0])
                    h = min(box[1] + box[3], other[1] + other[3]) - max(box[1], other[1])
                    shared = max(w, 0) * max(h, 0)
                    union = box[2] * box[3] + other[2] * other[3] - shared
                    if shared / union > overlap:
                        best, overlap = other, shared / union
                if best is not None and overlap > hundredths / 100:
                    free.remove(best)
                    tp += 1
            mean += tp / (tp + len(predicted) - tp + len(free)) / 8
        scores.append(mean)
    return sum(scores) / len(scores)


def test_the_challenges_metric_agrees_with_its_rule_written_out() -> None:
    rng = np.random.default_rng(11)
    films: list[Film] = []
    for _ in range(200):
        truth = [tuple(rng.uniform(50, 400, 4).tolist()) for _ in range(rng.integers(0, 4))]
        near = [tuple((np.array(box) + rng.normal(0, 40, 4)).tolist()) for box in truth]
        extra = [tuple(rng.uniform(50, 400, 4).tolist()) for _ in range(rng.integers(0, 2))]
        predicted = [box for box in near + extra if min(box[2:]) > 1]
        films.append((predicted, rng.random(len(predicted)).tolist(), truth))
    ours = challenge(
        [(np.array(p).reshape(-1, 4), np.array(c)) for p, c, _ in films],
        [np.array(t).reshape(-1, 4) for *_, t in films],
    )
    assert metrics.mean_score(ours) == pytest.approx(challenge_plainly(films))
    assert 0.1 < metrics.mean_score(ours) < 0.9


def test_the_challenges_metric_by_hand() -> None:
    none = np.zeros((0, 4))
    box = np.array([[100.0, 100, 100, 100]])
    sure = np.ones(1)
    half = np.array([[100.0, 100, 100, 52]])  # IoU .52: above .40, .45 and .50 of the eight
    found = challenge(
        [(box, sure), (half, sure), (box, sure), (none, np.ones(0)), (none, np.ones(0))],
        [box, box, none, box, none],
    )
    assert found[:4].tolist() == pytest.approx([1, 3 / 8, 0, 0])
    assert math.isnan(found[4])
