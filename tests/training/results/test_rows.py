"""Every experiment has its row, whatever became of it, and what must be said is said."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tests.training.results.made import boxed, labelled, run_folder
from tests.training.results.made_specs import box_spec, spec
from training.experiments.spec import load_all
from training.results.measured import Boxed, Classified
from training.results.remarks import PREVALENCE, printed_matrix, remarks
from training.results.rows import Row, Status, build_rows, strangers
from training.results.runs import load_runs
from training.results.scores import Confusion


def test_every_experiment_has_a_row_that_says_what_became_of_it(tmp_path: Path) -> None:
    names = ("done", "failed", "running", "broken", "empty", "waiting")
    run_folder(tmp_path, "done", labelled())
    run_folder(tmp_path, "failed", None, status="failed", reason="no weights")
    run_folder(tmp_path, "running", None, status="running", epochs=2)
    (run_folder(tmp_path, "broken", labelled()) / "run.json").write_text("{")
    run_folder(tmp_path, "empty", labelled(splits=(("train", 8),)))
    rows = {row.spec.id: row for row in build_rows([spec(n) for n in names], load_runs(tmp_path))}
    assert [rows[name].status for name in names] == [
        Status.DONE,
        Status.FAILED,
        Status.RUNNING,
        Status.BROKEN,
        Status.DONE,
        Status.NOT_RUN,
    ]
    assert isinstance(rows["done"].measured, Classified)
    assert rows["done"].reason is None
    assert rows["failed"].reason == "no weights"
    assert rows["running"].reason == "after 2 epochs"
    assert "run.json" in (rows["broken"].reason or "")
    assert rows["empty"].reason == "no film was tested"
    assert rows["waiting"].reason == "`hilum train waiting`"
    assert all(row.measured is None for name, row in rows.items() if name != "done")


def test_variants_stand_below_their_row(tmp_path: Path) -> None:
    variants = {"np_resize": {"note": "Wrong.", "data": {"resize": "np_resize"}}}
    run_folder(tmp_path, "a@np_resize", labelled())
    (row,) = build_rows([spec("a", variants=variants)], load_runs(tmp_path))
    assert row.status is Status.NOT_RUN
    assert row.variant_name == ""
    (variant,) = row.variants
    assert variant.variant_name == "np_resize"
    assert variant.spec.data.resize == "np_resize"
    assert variant.status is Status.DONE


def test_a_run_of_someones_own_experiment_is_shown_by_its_settings(tmp_path: Path) -> None:
    mine = spec("mine", row="mine")
    run_folder(tmp_path, "mine", labelled(), settings=mine.model_dump(mode="json"))
    run_folder(tmp_path, "strange", labelled())
    runs = load_runs(tmp_path)
    rows = build_rows([spec("a")], runs)
    assert [(row.spec.table, row.spec.id) for row in rows] == [("base", "a"), ("own", "mine")]
    assert strangers(rows, runs) == ["strange"]


def test_the_reports_rows_are_all_there_without_a_single_run() -> None:
    rows = build_rows(load_all(), {})
    tables = [row.spec.table for row in rows if row.spec.table != "own"]
    counts = {table: tables.count(table) for table in tables}
    assert counts == {"base": 4, "grid": 44, "transfer": 10, "boxes": 2, "faster_rcnn": 1}
    assert {row.status for row in rows} == {Status.NOT_RUN}


def said(row: Row) -> str:
    return " ".join(remarks(row))


def of_report(name: str) -> str:
    rows = {row.spec.id: row for row in build_rows(load_all(), {})}
    return said(rows[name])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "grid-small_batch-model_2",
            "collapsed, every film called the same (its loss is 100 ln 2)",
        ),
        ("grid-small_batch-model_2a", "collapsed, every film called the same."),
        ("grid-more_layers-model", "printed as 24851053, 100 times too large"),
        ("grid-jpeg-model", "tested on the films that it was validated on"),
        ("transfer-vgg16-array", "TP 445, FN 155, FP 172, TN 428"),
        ("transfer-densenet121_chexnet-array", "precision of 0.7655 would be 0.49 on the true mix"),
        ("transfer-densenet121_chexnet-array", "trained on NIH films"),
        ("base-model_2", "no parameter total"),
        ("base-model_2a", "4,402,780, is that of model_3"),
    ],
)
def test_the_reports_mistakes_are_remarked_on_where_they_stand(name: str, words: str) -> None:
    assert words in of_report(name)


@pytest.mark.parametrize("name", ["grid-base-model", "base-model_3", "grid-rmsprop-model_3"])
def test_rows_without_a_mistake_have_no_remark(name: str) -> None:
    assert of_report(name) == ""


def test_the_matrices_of_all_transfer_rows_follow_from_the_files() -> None:
    found = {s.model: printed_matrix(s) for s in load_all() if s.table == "transfer"}
    assert found == {
        "vgg16": Confusion(445, 155, 172, 428),
        "resnet50": Confusion(424, 176, 165, 435),
        "inceptionv3": Confusion(286, 314, 100, 500),
        "densenet121": Confusion(504, 96, 225, 375),
        "densenet121_chexnet": Confusion(506, 94, 155, 445),
    }


def test_the_share_of_positive_films() -> None:
    assert round(PREVALENCE, 3) == 0.225


def test_ours_is_remarked_on(tmp_path: Path) -> None:
    run_folder(tmp_path, "half", labelled() | {"y_prob": np.full(120, 0.5)})
    run_folder(tmp_path, "chance", labelled(sharpness=0.0))
    run_folder(tmp_path, "good", labelled(sharpness=3.0))
    run_folder(tmp_path, "same", boxed(noise=0.0))
    run_folder(tmp_path, "far", boxed(noise=900.0))
    specs = [spec("half"), spec("chance"), spec("good"), box_spec("same"), box_spec("far")]
    rows = {row.spec.id: row for row in build_rows(specs, load_runs(tmp_path))}
    assert "Ours: collapsed, says 0.500 for every film" in said(rows["half"])
    assert "it may know nothing" in said(rows["chance"])
    assert said(rows["good"]) == ""
    assert "better than the constant box" in said(rows["same"])
    assert "worse than the constant box" in said(rows["far"])


def test_a_difference_whose_interval_holds_zero_is_none(tmp_path: Path) -> None:
    run_folder(tmp_path, "x", boxed(noise=0.0))
    (row,) = build_rows([box_spec("x")], load_runs(tmp_path))
    assert isinstance(row.measured, Boxed)
    doubtful = dataclasses.replace(row.measured.gain, value=0.02, low=-0.01, high=0.05)
    row = dataclasses.replace(row, measured=dataclasses.replace(row.measured, gain=doubtful))
    assert "no different from the constant box" in said(row)


def test_ours_tells_precision_and_auc_beside_the_reports(tmp_path: Path) -> None:
    run_folder(tmp_path, "t", labelled())
    (row,) = build_rows([spec("t", table="transfer", model="vgg16")], load_runs(tmp_path))
    assert isinstance(row.measured, Classified)
    text = said(row)
    assert f"true AUC {row.measured.auc.value:.3f}" in text
    assert f"balanced accuracy {row.measured.confusion.balanced_accuracy:.3f}" in text
    validated = dataclasses.replace(row, measured=dataclasses.replace(row.measured, split="val"))
    assert "tested on its validation films" in said(validated)
