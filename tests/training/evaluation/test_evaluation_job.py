"""A bundle evaluated from end to end: on a folder of phantoms, and on the predictions it keeps."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

import hilum
import settings
from commands.evaluate import evaluate as evaluate_command
from commands.problem import ProblemError
from inference.bundle import Bundle, load_bundle
from inference.kept import OutOfFold
from inference.prepare import Limits
from tests.training.evaluation.judged import films
from tests.training.evaluation.tiny import nih_folder, phantom_folder, tiny_bundle
from tests.training.test_card_page import parse
from training.cache import fingerprint_of
from training.evaluation.choice import Judged, choose
from training.evaluation.figures import evaluate, key_figures
from training.evaluation.films import read_folder
from training.evaluation.job import EvaluationError, Setting, evaluate_folder, evaluate_kept
from training.evaluation.leakage import leakage
from training.evaluation.out_of_fold import (
    foreign_auc,
    keep,
    out_of_fold,
    outputs_of,
    pseudonym,
)
from training.evaluation.report import document, write_report
from training.evaluation.table import read_predictions
from training.tables import TableError

SETTING = Setting(Limits(10_000_000, settings.Eligibility()), "openvino", 1, draws=40)
COUNT, CHILDREN = 16, 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return phantom_folder(tmp_path_factory.mktemp("data") / "kaggle", COUNT, children=CHILDREN)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny")


def keeping(path: Path, judged: Judged, sources: list[str] | None = None) -> tuple[Bundle, Judged]:
    """A bundle that keeps the predictions; and what its figures would be measured by."""
    count = len(judged.labels)
    kept = kept_of(judged, [f"film {k}" for k in range(count)], sources or ["rsna"] * count)
    return tiny_bundle(path, kept=kept), replace(judged, outputs=outputs_of(kept))


def kept_of(judged: Judged, names: list[str], sources: list[str]) -> OutOfFold:
    return keep(
        names,
        judged.folds,
        judged.outputs,
        judged.size,
        labels=judged.labels,
        truth=judged.truth,
        patients=judged.patients,
        views=judged.views,
        sources=sources,
    )


def test_a_folder_is_read_as_the_service_reads_it(folder: Path, bundle: Bundle) -> None:
    report = evaluate_folder(bundle, folder, SETTING)
    cases = report.told.predictions.cases
    assert len(cases) == COUNT - CHILDREN
    assert report.told.refused == {"age": CHILDREN}
    assert {case.width for case in cases} == {128}
    for case, film in zip(cases, read_folder(folder), strict=False):
        assert case.film == pseudonym("film", film.id)
        assert case.intensity is not None
        opacity = case.probabilities[2]
        logit = 20 * (case.intensity / 255 - 0.45) / 2  # the network, divided by the temperature
        wanted = np.exp([-logit, 0, logit])
        assert opacity == pytest.approx(wanted[2] / wanted.sum(), abs=1e-5)
        # One box of two is sure enough, and only on a film called positive: 8 of 64 is 16 of 128.
        drawn = [box[:4] for box in case.drawn]
        assert drawn == ([(16.0, 24.0, 56.0, 104.0)] if opacity >= 0.4 else [])
        assert len(case.candidates) == 2
        assert case.candidates[0][4] == pytest.approx(0.8 * opacity, abs=1e-5)
        assert bool(case.constant) == (opacity >= 0.4)
        # A film turned round has 255 less its mean.
        turned = 20 * (1 - case.intensity / 255 - 0.45) / 2
        wanted = np.exp([-turned, 0, turned])
        assert case.inverted == pytest.approx(wanted[2] / wanted.sum(), abs=1e-5)
    assert {case.sex for case in cases} == {"F", "M"}
    assert {case.age for case in cases} == {"21-40", "41-60"}
    assert {case.view for case in cases} <= {"AP", "PA"}
    assert len(set(report.told.predictions.patients)) == (COUNT - CHILDREN) / 2


def test_the_report_is_whole_and_its_figures_come_from_the_csv(
    folder: Path, bundle: Bundle, tmp_path: Path
) -> None:
    report = evaluate_folder(bundle, folder, SETTING)
    page = write_report(tmp_path / "out", report).read_text()
    found = parse(page)
    assert all(address.startswith(("#", "data:")) for address in found.addresses)
    assert len(found.ids) == len(set(found.ids))
    assert "Evaluation of tiny 1" in page
    assert "2 films were refused" in page
    assert "not for clinical use" in page
    told = json.loads((tmp_path / "out" / "report.json").read_text())
    again = evaluate(read_predictions(tmp_path / "out" / "predictions.csv"), draws=SETTING.draws)
    other = json.loads(json.dumps(document(replace(report, told=again)), allow_nan=False))
    assert other == told
    text = page + (tmp_path / "out" / "predictions.csv").read_text() + json.dumps(told)
    for hidden in ("film-0", "nih-", "PHANTOM", "Phantom^", str(folder)):
        assert hidden not in text
    small = [group for group in told["groups"] if group["suppressed"]]
    assert small  # every group here is
    assert all("films" not in group for group in small)


def test_the_gallery_shows_the_worst_first_with_their_boxes(folder: Path, bundle: Bundle) -> None:
    report = evaluate_folder(bundle, folder, SETTING)
    assert report.gallery is not None
    predictions = report.told.predictions
    wrong = predictions.called() & ~predictions.positive
    worst = [predictions.cases[i] for i in np.argsort(-predictions.opacity) if wrong[i]]
    assert worst
    shown = report.gallery.false_positives
    assert [each.film for each in shown] == [case.film[:8] for case in worst[:8]]
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(shown[0].jpeg))).convert("RGB"))
    side = picture.shape[0]
    edge = picture[side // 2, round(8 / 64 * side)].astype(int)  # the drawn box's left edge
    assert edge[0] > edge[2] + 60  # orange on grey
    middle = picture[side // 2, side // 2].astype(int)
    assert np.ptp(middle) < 30
    missed = predictions.positive & ~predictions.called()
    assert len(report.gallery.false_negatives) == min(int(missed.sum()), 8)


def test_films_that_were_trained_on_are_told_by_the_fingerprint(
    folder: Path, bundle: Bundle, tmp_path: Path
) -> None:
    data = read_folder(folder)
    assert leakage(bundle, None, data).films is None
    trained_on = replace(
        bundle.trained_on, films=COUNT, fingerprint=fingerprint_of(data, bundle.input_form)
    )
    trained = replace(bundle, trained_on=trained_on)
    found = leakage(trained, None, data)
    assert (found.films, found.by_patient) == (COUNT, 0)
    assert f"trained on {COUNT} of these {COUNT} films" in found.remark
    assert leakage(trained, None, data[:-1]).films is None
    page = write_report(tmp_path, evaluate_folder(trained, folder, SETTING)).read_text()
    assert found.remark in page


def test_films_that_were_trained_on_are_told_by_film_and_by_patient(
    folder: Path, bundle: Bundle
) -> None:
    data = read_folder(folder)
    judged = films(3)
    names = [data[0].id, data[2].id, "another"]
    patients = [data[0].patient, data[2].patient, "nobody"]
    kept = kept_of(replace(judged, patients=patients), names, ["rsna"] * 3)
    found = leakage(bundle, kept, data)
    assert (found.films, found.by_patient) == (2, 2)  # each patient has a second film
    assert "trained on 2 of these 16 films, and 2 more are of patients" in found.remark
    clean = leakage(bundle, kept, [film for film in data if film.patient not in patients])
    assert (clean.films, clean.by_patient, clean.remark) == (0, 0, "")
    unnamed = leakage(bundle, replace(kept, known=None), data)
    assert (unnamed.films, unnamed.by_patient) == (2, None)
    assert "patients it was trained on is not known" in unnamed.remark
    every = leakage(bundle, replace(kept, known=None), [data[0], data[2]])
    assert (every.films, every.by_patient) == (2, 0)
    assert "not known" not in every.remark


def test_kept_predictions_give_the_bundles_figures_again_and_tell_a_wrong_one(
    tmp_path: Path,
) -> None:
    bundle, ours = keeping(tmp_path / "kept", films(45))
    figures = key_figures(out_of_fold(ours, draws=SETTING.draws))
    figures["brier"] = replace(figures["brier"], value=0.01, low=0.0)
    report = evaluate_kept(replace(bundle, metrics=figures), SETTING)
    assert report.differing == ("brier",)
    assert report.kind == "out-of-fold"
    page = write_report(tmp_path / "out", report).read_text()
    assert "not what was computed here" in page
    honest = write_report(tmp_path / "out", replace(report, differing=())).read_text()
    assert "Every figure of bundle.json was computed again" in honest


def test_films_of_other_sources_are_judged_apart(tmp_path: Path) -> None:
    sources = ["rsna"] * 30 + ["nih"] * 30
    bundle, ours = keeping(tmp_path / "kept", films(60), sources)
    report = evaluate_kept(bundle, SETTING)
    assert len(report.told.predictions.cases) == 30
    nih = ours.take(np.arange(60) >= 30)
    calibration = choose(ours.take(np.arange(60) < 30)).calibration
    assert report.others == {
        "nih_pneumonia_auc": foreign_auc(
            nih.outputs.logits, nih.labels, nih.patients, calibration, draws=SETTING.draws
        )
    }
    assert report.others["nih_pneumonia_auc"].value > 0.8
    assert "NIH films" in write_report(tmp_path / "out", report).read_text()


def test_a_bundle_that_keeps_nothing_says_what_to_do(bundle: Bundle) -> None:
    with pytest.raises(EvaluationError, match="keeps no out-of-fold predictions"):
        evaluate_kept(bundle, SETTING)


def test_two_bundles_are_compared_on_the_same_films(
    folder: Path, bundle: Bundle, tmp_path: Path
) -> None:
    turned = tiny_bundle(tmp_path / "turned", sign=-1.0, id="turned")
    report = evaluate_folder(bundle, folder, SETTING, against=turned)
    found = report.comparison
    assert found is not None
    assert (found.other, found.films) == ("turned 1", COUNT - CHILDREN)
    assert found.auc + found.other_auc == pytest.approx(1, abs=1e-3)
    assert found.difference.difference.value == pytest.approx(found.auc - found.other_auc, abs=1e-3)
    assert found.challenge is not None
    same = evaluate_folder(bundle, folder, SETTING, against=bundle).comparison
    assert same is not None
    assert same.challenge is not None
    assert (same.difference.p, same.challenge.value, same.challenge.high) == (1.0, 0.0, 0.0)
    assert "Against turned 1" in write_report(tmp_path / "out", report).read_text()


def test_kept_predictions_are_compared_on_shared_films(tmp_path: Path) -> None:
    good, _ = keeping(tmp_path / "good", films(30))
    poor, _ = keeping(tmp_path / "poor", films(30).take(np.arange(30) < 20))
    found = evaluate_kept(good, SETTING, against=poor).comparison
    assert found is not None
    assert found.films == 20


def test_a_folder_of_nih_films_is_read_too(bundle: Bundle, tmp_path: Path) -> None:
    report = evaluate_folder(bundle, nih_folder(tmp_path / "nih", 6), SETTING)
    cases = report.told.predictions.cases
    assert [case.source for case in cases] == ["nih"] * 6
    assert [case.truth for case in cases] == [(), None] * 3
    assert (cases[0].age, cases[0].sex, cases[0].view) == ("21-40", "F", "PA")
    assert (cases[0].width, cases[0].height) == (128, 150)
    page = write_report(tmp_path / "out", report).read_text()
    assert "Boxes are known of 3 films" in page


def test_a_folder_that_is_none_is_named(tmp_path: Path, bundle: Bundle) -> None:
    with pytest.raises(TableError, match="neither stage_2_detailed_class_info"):
        evaluate_folder(bundle, tmp_path, SETTING)


def run_command(*paths: Path, out: Path, **options: Any) -> str:
    console = Console(file=io.StringIO(), width=200)
    given = settings.Settings()
    evaluate_command(paths, given, out, console, draws=20, **options)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_command_tells_bundle_and_folder_apart(
    folder: Path, bundle: Bundle, tmp_path: Path
) -> None:
    said = run_command(folder, bundle.path, out=tmp_path / "out")
    assert re.search(r"opacity_auc +\d\.\d{3} ", said)
    assert "2 films were refused" in said
    assert (tmp_path / "out" / "report.html").exists()
    kept, _ = keeping(tmp_path / "kept", films(30))
    said = run_command(kept.path, out=tmp_path / "again", out_of_fold=True)
    assert "tiny 1, out-of-fold" in said


def test_the_front_door_has_the_command(tmp_path: Path) -> None:
    kept, _ = keeping(tmp_path / "kept", films(30))
    out = tmp_path / "out"
    command = ["evaluate", str(kept.path), "--out-of-fold", "--out", str(out), "--draws", "20"]
    found = CliRunner().invoke(hilum.app, command, catch_exceptions=False)
    assert found.exit_code == 0
    assert {file.name for file in out.iterdir()} == {
        "report.html",
        "report.json",
        "predictions.csv",
    }
    assert json.loads((out / "report.json").read_text())["kind"] == "out-of-fold"


def test_the_command_says_what_is_missing(bundle: Bundle, tmp_path: Path) -> None:
    for folders in ((), (tmp_path, tmp_path)):
        with pytest.raises(ProblemError, match="one folder of labelled films is needed"):
            run_command(bundle.path, *folders, out=tmp_path / "out")
    with pytest.raises(ProblemError, match="no such folder"):
        run_command(tmp_path / "nothing", out=tmp_path / "out")
    with pytest.raises(ProblemError, match="one bundle"):
        run_command(bundle.path, bundle.path, out=tmp_path / "out")
    with pytest.raises(ProblemError, match="keeps no out-of-fold"):
        run_command(bundle.path, out=tmp_path / "out", out_of_fold=True)


def test_real_films_give_a_report(real_data: Path, tmp_path: Path) -> None:
    """The packaged bundle on a few real films, where there are some."""
    report = evaluate_folder(load_bundle(), few(real_data / "rsna_mini", tmp_path / "few"), SETTING)
    assert report.told.predictions.cases
    assert write_report(tmp_path / "out", report).stat().st_size > 50_000


def few(real: Path, to: Path, count: int = 12) -> Path:
    """Link the first films of a real folder, with their labels."""
    to.mkdir()
    keep_ids: set[str] = set()
    for name in ("stage_2_detailed_class_info.csv", "stage_2_train_labels.csv"):
        head, *lines = (real / name).read_text().splitlines()
        if not keep_ids:
            keep_ids = set(sorted({line.split(",")[0] for line in lines})[:count])
        rows = [line for line in lines if line.split(",")[0] in keep_ids]
        (to / name).write_text("\n".join([head, *rows]) + "\n")
    (to / "stage_2_train_images").symlink_to(real / "stage_2_train_images")
    return to
