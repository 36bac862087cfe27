"""A run folder is read as it was left, whole, broken off or broken."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.training.results.made import boxed, detected, labelled, run_folder
from training.results.runs import (
    BoxPredictions,
    Detections,
    Predictions,
    Run,
    RunError,
    load_run,
    load_runs,
)


def test_a_finished_classifier_is_read_whole(tmp_path: Path) -> None:
    arrays = labelled()
    run = load_run(run_folder(tmp_path, "base_model", arrays, seconds=12.5))
    assert run.record.films.test == 40
    assert run.record.parameters is not None
    assert run.record.parameters.total == 100
    assert run.record.seconds == 12.5
    assert run.history["val_accuracy"].tolist() == pytest.approx([0.5, 0.55, 0.6])
    assert isinstance(run.predictions, Predictions)
    test = run.predictions.of("test")
    assert len(test.truth) == 40
    assert test.probability.tolist() == arrays["y_prob"][-40:].tolist()
    assert test.patient_id[0] == "film-080"


def test_a_finished_regressor_is_read_whole(tmp_path: Path) -> None:
    arrays = boxed()
    run = load_run(run_folder(tmp_path, "boxes", arrays))
    assert isinstance(run.predictions, BoxPredictions)
    assert run.predictions.of("val").predicted.tolist() == arrays["boxes_pred"][64:80].tolist()


def test_films_whose_truth_nobody_has_may_be_predicted_too(tmp_path: Path) -> None:
    arrays = boxed(splits=(("test", 2), ("challenge", 2)))
    arrays["boxes_true"][2:] = np.nan
    run = load_run(run_folder(tmp_path, "boxes", arrays))
    assert isinstance(run.predictions, BoxPredictions)
    assert len(run.predictions.of("test").truth) == 2
    assert len(run.predictions.predicted) == 4


def test_a_detectors_boxes_go_to_their_films(tmp_path: Path) -> None:
    run = load_run(run_folder(tmp_path, "detector", detected(), remarks=["size 640"]))
    assert run.record.remarks == ("size 640",)
    found = run.predictions
    assert isinstance(found, Detections)
    assert [len(boxes) for boxes in found.found] == [3, 0, 1]
    assert [len(boxes) for boxes in found.truth] == [2, 0, 0]
    assert found.found[2].tolist() == [[7, 7, 50, 50]]
    assert found.scores[0].tolist() == [0.9, 0.6, 0.1]
    assert found.classes[2].tolist() == [32]


@pytest.mark.parametrize(("name", "says"), [("scores", "one length"), ("boxes_true", "one length")])
def test_a_detectors_arrays_must_fit(tmp_path: Path, name: str, says: str) -> None:
    arrays = detected()
    arrays[name] = arrays[name][:1]
    with pytest.raises(RunError, match=says):
        load_run(run_folder(tmp_path, "detector", arrays))


def test_a_failed_run_tells_why_and_needs_no_predictions(tmp_path: Path) -> None:
    run = load_run(run_folder(tmp_path, "x", None, status="failed", reason="out of memory"))
    assert (run.record.status, run.record.reason) == ("failed", "out of memory")
    assert run.predictions is None


def test_half_a_line_of_a_run_that_was_killed_is_left_out(tmp_path: Path) -> None:
    folder = run_folder(tmp_path, "x", None, status="running")
    file = folder / "history.csv"
    file.write_text(file.read_text() + "4,0.3")
    assert load_run(folder).history["loss"].tolist() == pytest.approx([0.7, 0.6, 0.5])


def test_a_run_that_says_done_must_have_predictions(tmp_path: Path) -> None:
    folder = run_folder(tmp_path, "x", None)
    with pytest.raises(RunError, match=r"predictions\.npz: cannot be read"):
        load_run(folder)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("run.json", b"{", r"run\.json: the document: "),
        ("run.json", b"\xff", "not UTF-8"),
        ("run.json", json.dumps({"experiment": "x", "status": "gone"}).encode(), r"status: "),
        ("history.csv", b"epoch,loss\n1,low\n", r"history\.csv: no table of numbers"),
        ("predictions.npz", b"PK\x03\x04", r"predictions\.npz: cannot be read"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    folder = run_folder(tmp_path, "x", labelled())
    (folder / name).write_bytes(content)
    with pytest.raises(RunError, match=says):
        load_run(folder)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"y_prob": np.full(120, np.nan)}, "diverged"),
        ({"y_prob": np.ones(7)}, "not of one length"),
        ({"y_true": None}, "y_true"),
        ({"patient_id": None}, "patient_id"),
    ],
)
def test_arrays_that_do_not_fit_are_named(
    tmp_path: Path, change: dict[str, np.ndarray | None], says: str
) -> None:
    arrays = {k: v for k, v in (labelled() | change).items() if v is not None}
    with pytest.raises(RunError, match=says):
        load_run(run_folder(tmp_path, "x", arrays))


def test_one_broken_run_does_not_hide_the_others(tmp_path: Path) -> None:
    run_folder(tmp_path, "good", labelled())
    (run_folder(tmp_path, "bad", labelled()) / "run.json").write_text("")
    (tmp_path / "notes").mkdir()
    found = load_runs(tmp_path)
    assert sorted(found) == ["bad", "good"]
    assert isinstance(found["bad"], RunError)
    assert isinstance(found["good"], Run)


def test_no_folder_no_runs(tmp_path: Path) -> None:
    assert load_runs(tmp_path / "none") == {}
