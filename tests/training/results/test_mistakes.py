"""The report's mistakes carry the effect that was measured, and say where none was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.training.results.made import boxed, labelled, run_folder
from tests.training.results.made_specs import DATA, box_spec, spec
from training.experiments.spec import Spec, load_all
from training.kaggle.folder import read_labels
from training.results.curves import Difference, auc
from training.results.measured import Known
from training.results.mistake import Mistake
from training.results.mistakes import mistakes
from training.results.rows import Row, build_rows
from training.results.runs import load_runs
from training.results.variants import compare, kept_by_np_resize

VARIANTS = {
    "np_resize": {"note": "Wrong.", "data": {"resize": "np_resize"}},
    "by_patient": {"note": "Right.", "data": {"split": "patient"}},
}


def listed(rows: list[Row], known: Known | None = None) -> dict[str, Mistake]:
    return {each.title: each for each in mistakes(rows, known or Known())}


def rows_of(tmp_path: Path, *specs: Spec) -> list[Row]:
    return build_rows(specs, load_runs(tmp_path))


def text(mistake: Mistake) -> str:
    return " ".join(mistake.effect)


def test_np_resize_leaves_one_picture_with_pixels_of_its_own() -> None:
    # 224 to 128 is 7 to 4. Picture i holds pixels from 0.327 i to 0.327 (i + 1): only 0 is itself.
    assert kept_by_np_resize(100, 7, 4) == 1 / 100
    assert kept_by_np_resize(100, 4, 4) == 1.0
    # From 8 to 7 pixels shift slowly: picture i has some of its own while 0.234 i < 0.766.
    assert kept_by_np_resize(100, 8, 7) == 4 / 100


def test_every_mistake_is_there_before_anything_was_run() -> None:
    found = listed(build_rows(load_all(), {}))
    assert len(found) == 14
    assert all(each.told and (each.effect or each.grid) for each in found.values())
    assert "of 1,200 pictures 1 still holds" in text(found["np.resize where a resize was meant"])
    assert "hilum train grid-dicom_128-model@np_resize" in text(
        found["np.resize where a resize was meant"]
    )
    assert "No box regressor" in text(found["No box result beside a constant box"])
    grid = found["“ROC” is balanced accuracy"].grid
    assert grid is not None
    assert [row[1] for row in grid.rows] == [
        "445 / 155 / 172 / 428",
        "424 / 176 / 165 / 435",
        "286 / 314 / 100 / 500",
        "504 / 96 / 225 / 375",
        "506 / 94 / 155 / 445",
    ]
    mixed = found["Precision on a mix that does not occur"].grid
    assert mixed is not None
    assert mixed.rows[-1] == ("DenseNet121 CheXNet, array", "0.766", "0.487", "not run", "")
    assert "8 printed accuracies are exactly 50 %" in text(
        found["Collapsed networks taken for results"]
    )
    one = text(found["One box a film, and a box on every film"])
    assert "37% of the true boxes can never be found" in one
    assert "scores 0.714" in one


def test_a_row_and_its_variant_on_the_same_films_are_compared_by_delong(tmp_path: Path) -> None:
    arrays = labelled(sharpness=1.5, splits=(("train", 8), ("test", 100)))
    worse = dict(arrays)
    noise = np.random.default_rng(3).permutation(108)
    worse["y_prob"] = arrays["y_prob"][noise]
    order = np.random.default_rng(4).permutation(108)  # films may come in another order
    run_folder(tmp_path, "a", arrays)
    run_folder(tmp_path, "a@np_resize", {k: v[order] for k, v in worse.items()})
    rows = rows_of(tmp_path, spec("a", variants=VARIANTS))
    found = compare(rows[0], rows[0].variants[0])
    test = arrays["split"] == "test"
    truth = arrays["y_true"][test] == 1
    assert isinstance(found, Difference)
    expected = auc(worse["y_prob"][test], truth) - auc(arrays["y_prob"][test], truth)
    assert found.value == pytest.approx(expected)
    assert found.high < 0
    assert found.p < 0.001
    mistake = listed(rows)["np.resize where a resize was meant"]
    assert mistake.grid is not None
    (line,) = mistake.grid.rows
    assert line[0] == "model, base run"
    assert line[-2].startswith(f"{found.value:+.3f} (")
    assert line[-1] == "< 0.001"


def test_other_films_are_compared_without_a_claim_of_significance(tmp_path: Path) -> None:
    run_folder(tmp_path, "a", labelled())
    run_folder(tmp_path, "a@by_patient", labelled(seed=5, splits=(("train", 60), ("test", 60))))
    rows = rows_of(tmp_path, spec("a", variants=VARIANTS))
    assert isinstance(compare(rows[0], rows[0].variants[1]), float)
    grid = listed(rows)["Films of one patient on both sides of the split"].grid
    assert grid is not None
    assert grid.rows[0][-1] == "other films"


def test_the_same_films_under_other_labels_are_no_pair(tmp_path: Path) -> None:
    arrays = labelled()
    run_folder(tmp_path, "a", arrays)
    run_folder(tmp_path, "a@np_resize", arrays | {"y_true": 1 - arrays["y_true"]})
    rows = rows_of(tmp_path, spec("a", variants=VARIANTS))
    assert isinstance(compare(rows[0], rows[0].variants[0]), float)


def test_a_variant_that_was_not_run_is_counted_as_not_measured(tmp_path: Path) -> None:
    run_folder(tmp_path, "a", labelled())
    rows = rows_of(tmp_path, spec("a", variants=VARIANTS))
    assert compare(rows[0], rows[0].variants[0]) is None
    found = listed(rows)["np.resize where a resize was meant"]
    assert "Not measured for 1 of 1 rows" in text(found)
    assert found.grid is None


def test_films_of_patients_on_both_sides_are_counted(tmp_path: Path) -> None:
    arrays = labelled(splits=(("train", 20), ("test", 20)))
    run_folder(tmp_path, "a", arrays)
    films = arrays["patient_id"].tolist()
    # Five of the test films are of patients trained on.
    known = Known(patients={film: str(k if k < 35 else k - 35) for k, film in enumerate(films)})
    run_folder(tmp_path, "b", arrays)  # split by patient, as it says: it does not count
    by_patient = spec("b", data=DATA | {"split": "patient"})
    found = listed(rows_of(tmp_path, spec("a", variants=VARIANTS), by_patient), known)
    said = text(found["Films of one patient on both sides of the split"])
    assert "Measured on 1 runs split by film: of their test films 25% are of a patient" in said


def test_every_box_result_stands_beside_the_constant_box(tmp_path: Path) -> None:
    run_folder(tmp_path, "b", boxed(noise=20))
    boxes = {str(k): box[None] for k, box in enumerate(boxed()["boxes_true"])}
    rows = rows_of(tmp_path, box_spec("b", reported={"iou": 0.1795}))
    mistake = listed(rows, Known(boxes=boxes, rows=dict.fromkeys(boxes, 1)))[
        "No box result beside a constant box"
    ]
    assert "Measured on the 120 boxes of this folder: the constant box " in text(mistake)
    assert mistake.grid is not None
    (line,) = mistake.grid.rows
    assert line[1] == "0.1795"
    assert float(line[2].split()[0]) > float(line[3])  # 20 pixels of noise beat any constant
    assert line[4].startswith("+")


def test_our_precision_is_brought_to_the_true_mix(tmp_path: Path) -> None:
    arrays = labelled(splits=(("test", 40),)) | {"y_prob": np.tile([0.2, 0.9, 0.7, 0.8], 10)}
    run_folder(tmp_path, "t", arrays)  # all positives found, half of the negatives called
    reported = {"accuracy": 0.7925, "precision": 0.7655, "recall": 0.8433}
    rows = rows_of(tmp_path, spec("t", table="transfer", model="vgg16", reported=reported))
    grid = listed(rows)["Precision on a mix that does not occur"].grid
    assert grid is not None
    # Bayes: .2253 / (.2253 + .5 x .7747) = .368.
    assert grid.rows == (("base run", "0.766", "0.487", "0.667", "0.368"),)


def test_collapsed_runs_of_ours_are_listed(tmp_path: Path) -> None:
    run_folder(tmp_path, "a", labelled() | {"y_prob": np.full(120, 0.5)})
    run_folder(tmp_path, "b", labelled())
    found = listed(rows_of(tmp_path, spec("a"), spec("b")))["Collapsed networks taken for results"]
    assert "1 of 2 classifiers" in text(found)
    assert found.grid is not None
    assert [line[1] for line in found.grid.rows] == ["0.6931"]


def test_totals_are_those_that_the_runs_counted(tmp_path: Path) -> None:
    run_folder(
        tmp_path,
        "a",
        labelled(),
        parameters={"total": 5184898, "trainable": 5184706, "fixed": 192},
    )
    found = listed(rows_of(tmp_path, spec("a")))
    title = "Losses a hundred times too large, and a total under the wrong network"
    assert "Parameters, counted here: model 5,184,898." in text(found[title])


def test_rows_films_and_merges_are_counted_in_the_folder() -> None:
    box = np.zeros((1, 4))
    boxes = {"a": np.vstack([box, box]), "b": box, "c": box[:0], "d": box[:0]}
    known = Known(boxes=boxes, rows={"a": 2, "b": 1, "c": 1, "d": 1})
    found = listed([], known)
    third = text(found["“A third” positive counts rows"])
    assert "9,555 of 30,227 rows are 31.6%, 6,012 of 26,684 films are 22.5%" in third
    assert "3 of 5 rows are 60.0%, 2 of 4 films are 50.0%" in third
    merged = text(found["7,402 duplicates that a merge made"])
    assert "37,629 merged rows, 7,402 of them copies" in merged
    assert "5 rows become 7, 2 of them copies" in merged
    one = text(found["One box a film, and a box on every film"])
    assert "33% of the true boxes" in one
    assert "2 positive films scores 0.750" in one
    assert "0.375 where each of all 4 films" in one


def test_the_whole_sets_counts_follow_from_its_real_tables(real_data: Path) -> None:
    labels = real_data / "rsna_labels" / "stage_2_train_labels.csv"
    if not labels.is_file():
        pytest.skip(f"{labels} is missing")
    rows: dict[str, int] = {}
    for row in read_labels(labels):
        rows[row.patient_id] = rows.get(row.patient_id, 0) + 1
    boxes = {film: np.zeros((0, 4)) for film in rows}
    found = text(listed([], Known(boxes=boxes, rows=rows))["7,402 duplicates that a merge made"])
    assert "30,227 rows become 37,629, 7,402 of them copies" in found
