"""What is chosen after training is chosen on other films than those it is judged by."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from inference.predict import softmax
from training import evaluate
from training.evaluate import Judged, choose, measure, operating_points
from training.fit import Outputs

SIZE = 128


def films(count: int = 90, *, sharpness: float = 2.0, seed: int = 0) -> Judged:
    """Films whose logits know the class up to noise, with a good box and a bad one each."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=count).astype(np.int32)
    logits = rng.normal(size=(count, 3)) + sharpness * np.eye(3)[labels]
    truth, boxes, scores = [], [], []
    for label in labels:
        x, y = rng.uniform(5, 50, 2)
        box = np.array([[x, y, x + 40, y + 50]])
        truth.append((box if label == 2 else np.zeros((0, 4))).astype(np.float32))
        boxes.append(np.vstack([box + rng.normal(0, 2, 4), [[90, 90, 120, 120]]]))
        scores.append([0.6, 0.05])
    return Judged(
        outputs=Outputs(
            logits.astype(np.float32),
            np.array(boxes, np.float32),
            np.array(scores, np.float32),
        ),
        labels=labels,
        truth=truth,
        patients=[f"p{k // 2}" for k in range(count)],
        folds=np.arange(count) // 2 % 3,
        views=["AP" if k % 2 else "PA" for k in range(count)],
        size=SIZE,
    )


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


def test_temperature_brings_overconfident_logits_back() -> None:
    calm = films(150)
    loud = replace(calm, outputs=replace(calm.outputs, logits=calm.outputs.logits * 4))
    best = choose(loud).temperature
    assert best / choose(calm).temperature == pytest.approx(4, rel=0.03)

    def loss(t: float) -> float:
        rows = np.arange(len(loud.labels))
        p = softmax(loud.outputs.logits / np.float32(t))[rows, loud.labels]
        return float(-np.log(p).mean())

    assert loss(best) < min(loss(best * 1.2), loss(best / 1.2), loss(1.0))


def test_no_fold_is_judged_by_what_was_chosen_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    judged = films()
    seen: list[set[int]] = []
    honest = evaluate.choose

    def watched(given: Judged) -> evaluate.Choice:
        seen.append(set(given.folds.tolist()))
        return honest(given)

    monkeypatch.setattr(evaluate, "choose", watched)
    measure(judged)
    assert sorted(map(sorted, seen)) == [[0, 1], [0, 2], [1, 2]]


def test_good_outputs_measure_well_and_better_than_constant_boxes() -> None:
    found = measure(films(150, sharpness=6.0))
    assert found["opacity_auc"].value > 0.97
    assert found["accuracy_3_classes"].value > 0.95
    assert found["challenge_score"].value > 0.6
    assert found["challenge_score_constant_boxes"].value < found["challenge_score"].value / 2
    assert found["view_only_auc"].low < 0.5 < found["view_only_auc"].high


def test_labels_that_mean_nothing_measure_like_chance() -> None:
    judged = films(200)
    shuffled = np.random.default_rng(0).permutation(judged.labels)
    found = measure(replace(judged, labels=shuffled))
    assert found["opacity_auc"].low < 0.5 < found["opacity_auc"].high


def test_boxes_count_only_on_films_called_positive() -> None:
    # Every film has a perfect box and no opacity: whatever is called positive scores 0, the rest
    # is left out.
    judged = films(90)
    judged = replace(judged, truth=[np.zeros((0, 4), np.float32)] * 90)
    assert measure(judged)["challenge_score"].value == 0.0
