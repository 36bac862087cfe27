"""What a run is measured by: the right films, the right figures, the constant box beside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.training.results.made import boxed, detected, labelled, run_folder
from training.kaggle.folder import KaggleFolder, LabelRow
from training.results.curves import constant_box, pair_iou
from training.results.measured import (
    Boxed,
    Classified,
    Detected,
    Known,
    known_from,
    measure,
)
from training.results.runs import load_run


def classified(tmp_path: Path, known: Known | None = None, **change: np.ndarray) -> Classified:
    run = load_run(run_folder(tmp_path, "x", labelled() | change))
    found = measure(run, known or Known())
    assert isinstance(found, Classified)
    return found


def test_a_classifier_is_measured_on_its_test_films(tmp_path: Path) -> None:
    arrays = labelled()
    found = classified(tmp_path)
    test = arrays["split"] == "test"
    right = (arrays["y_prob"] >= 0.5) == (arrays["y_true"] == 1)
    assert found.split == "test"
    assert found.confusion.films == 40
    assert found.figures["accuracy"] == pytest.approx(right[test].mean())
    assert found.figures["train_accuracy"] == pytest.approx(
        right[arrays["split"] == "train"].mean()
    )
    assert found.figures["val_accuracy"] == pytest.approx(right[arrays["split"] == "val"].mean())
    assert found.figures["precision"] == found.figures["precision_1"]
    assert found.figures["precision_0"] == found.confusion.of_class(0).precision
    assert found.auc.low < found.auc.value < found.auc.high
    assert found.delong.value == pytest.approx(found.auc.value, abs=1e-4)
    assert found.collapsed is None


def test_without_test_films_the_validation_films_are_measured_and_that_is_said(
    tmp_path: Path,
) -> None:
    arrays = labelled(splits=(("train", 20), ("val", 30)))
    found = measure(load_run(run_folder(tmp_path, "x", arrays)), Known())
    assert isinstance(found, Classified)
    assert found.split == "val"
    assert found.confusion.films == 30


def test_accuracies_that_were_not_predicted_are_the_last_epochs(tmp_path: Path) -> None:
    arrays = labelled(splits=(("test", 30),))
    found = measure(load_run(run_folder(tmp_path, "x", arrays)), Known())
    assert isinstance(found, Classified)
    assert found.figures["train_accuracy"] == pytest.approx(0.7)
    assert found.figures["val_accuracy"] == pytest.approx(0.6)


def test_no_films_no_figures(tmp_path: Path) -> None:
    arrays = labelled(splits=(("train", 20),))
    assert measure(load_run(run_folder(tmp_path, "x", arrays)), Known()) is None
    assert measure(load_run(run_folder(tmp_path, "y", None, status="failed")), Known()) is None


def test_a_network_that_says_one_half_is_called_collapsed(tmp_path: Path) -> None:
    found = classified(tmp_path, y_prob=np.full(120, 0.5))
    assert found.collapsed == "says 0.500 for every film, a loss of 69.31 % (100 ln 2)"
    assert found.figures["loss"] == pytest.approx(np.log(2))
    assert found.figures["accuracy"] == 0.5


def test_a_network_that_calls_all_the_same_is_called_collapsed(tmp_path: Path) -> None:
    found = classified(tmp_path, y_prob=np.linspace(0.1, 0.4, 120))
    assert found.collapsed == "calls every film no opacity"


def test_intervals_are_by_patient_where_patients_are_known(tmp_path: Path) -> None:
    by_film = classified(tmp_path / "a")
    films = labelled()["patient_id"].tolist()
    one_patient_each_half = Known(patients={f: str(k // 20) for k, f in enumerate(films)})
    by_patient = classified(tmp_path / "b", one_patient_each_half)
    assert by_patient.accuracy.value == by_film.accuracy.value
    # Two patients have 40 test films: only three different draws are left.
    assert by_patient.accuracy.low != by_film.accuracy.low


def test_a_regressor_is_measured_beside_the_constant_box_of_its_training_films(
    tmp_path: Path,
) -> None:
    arrays = boxed()
    run = load_run(run_folder(tmp_path, "x", arrays, settings={"data": {"size": 128}}))
    found = measure(run, Known())
    assert isinstance(found, Boxed)
    train, test = arrays["split"] == "train", arrays["split"] == "test"
    constant = constant_box(arrays["boxes_true"][train])
    truth, predicted = arrays["boxes_true"][test], arrays["boxes_pred"][test]
    assert found.constant.tolist() == constant.tolist()
    assert found.constant_iou.tolist() == pair_iou(truth, np.tile(constant, (40, 1))).tolist()
    assert found.mean_iou.value == pytest.approx(pair_iou(truth, predicted).mean(), abs=1e-4)
    assert found.gain.value == pytest.approx(found.iou.mean() - found.constant_iou.mean(), abs=1e-4)
    # The report's loss: squares in pixels of the 128 pixel picture.
    assert found.figures["loss"] == pytest.approx((((predicted - truth) / 8) ** 2).mean())


def test_targets_left_in_pixels_of_the_film_have_a_loss_in_them(tmp_path: Path) -> None:
    arrays = boxed()
    settings = {"data": {"size": 128}, "network": {"targets": "unscaled"}}
    run = load_run(run_folder(tmp_path, "x", arrays, settings=settings))
    found = measure(run, Known())
    assert isinstance(found, Boxed)
    test = arrays["split"] == "test"
    error = arrays["boxes_pred"][test] - arrays["boxes_true"][test]
    assert found.figures["loss"] == pytest.approx((error**2).mean())


def test_a_perfect_box_misses_the_others_that_the_folder_knows(tmp_path: Path) -> None:
    arrays = boxed(noise=0.0)
    run = load_run(run_folder(tmp_path, "x", arrays))
    alone = measure(run, Known())
    assert isinstance(alone, Boxed)
    assert alone.challenge.value == 1.0
    assert alone.mean_iou.value == 1.0
    second = np.array([[0.0, 0, 90, 90]])
    boxes = {
        str(name): np.vstack([box, second])
        for name, box in zip(arrays["patient_id"], arrays["boxes_true"], strict=True)
    }
    found = measure(run, Known(boxes=boxes))
    assert isinstance(found, Boxed)
    assert found.challenge.value == 0.5  # one of two found, nothing too much


def test_a_detector_is_measured_on_films_with_and_without_opacities(tmp_path: Path) -> None:
    found = measure(load_run(run_folder(tmp_path, "detector", detected())), Known())
    assert isinstance(found, Detected)
    assert (found.films, found.detections) == (3, 3)  # one has a score of 0.1
    assert found.classes == {1: 2, 32: 1}
    assert found.overlap.tolist() == pytest.approx([1.0, 0.5])
    # Film 0: a perfect box, and one of IoU .50, which counts above .40 and .45 only: 2 of 8
    # thresholds have 2 hits, 6 have 1 hit, 1 miss and 1 too much. Film 1 has nothing to find and
    # nothing found: left out. Film 2 has a box on nothing: 0.
    assert found.challenge.value == pytest.approx((2 / 8 + 6 / 8 / 3) / 2, abs=1e-4)
    assert found.constant_challenge.value < 0.2


def test_a_detector_without_true_boxes_cannot_be_measured(tmp_path: Path) -> None:
    arrays = detected() | {"true_film_index": np.zeros(0, int), "boxes_true": np.zeros((0, 4))}
    assert measure(load_run(run_folder(tmp_path, "detector", arrays)), Known()) is None


def test_what_a_folder_knows() -> None:
    box, other = (1.0, 2.0, 3.0, 4.0), (5.0, 6.0, 7.0, 8.0)
    labels = [LabelRow("a", 1, box), LabelRow("a", 1, other), LabelRow("b", 0, None)]
    folder = KaggleFolder(Path(), {}, {}, labels, [], None, {"a": "p1"})
    known = known_from(folder)
    assert known.rows == {"a": 2, "b": 1}
    assert known.boxes["a"].tolist() == [list(box), list(other)]
    assert known.boxes["b"].shape == (0, 4)
    assert known.groups(np.array(["a", "b"])) == ["p1", "b"]
