"""A bundle that keeps predictions without labels has its figures again from the films' folders."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import settings
from commands.evaluate import evaluate as evaluate_command
from inference.bundle import Bundle
from inference.kept import Known, OutOfFold
from inference.pixels import InputForm
from inference.prepare import Limits
from tests.training.evaluation.tiny import SIDE, nih_folder, phantom_folder, tiny_bundle
from training.cache import make_square
from training.evaluation.choice import Judged, choose
from training.evaluation.figures import key_figures
from training.evaluation.films import read_folder
from training.evaluation.job import EvaluationError, Setting, evaluate_kept
from training.evaluation.known import with_known
from training.evaluation.out_of_fold import foreign_auc, keep, out_of_fold, outputs_of
from training.evaluation.report import document, write_report
from training.fit import Outputs
from training.tables import Film

DRAWS = 30
SETTING = Setting(Limits(10_000_000, settings.Eligibility()), "openvino", 1, draws=DRAWS)
RSNA, NIH = 30, 12
FORM = InputForm(SIDE, "as_shown")


@dataclass(frozen=True)
class Trained:
    """Folders of films, what would be known of them, and bundles that keep it and that do not."""

    rsna: Path
    nih: Path
    films: list[Film]
    judged: Judged
    bundle: Bundle
    knowing: Bundle


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Bundles whose figures were measured as those of the packaged one are."""
    root = tmp_path_factory.mktemp("trained")
    rsna, nih = phantom_folder(root / "rsna", RSNA, pictures=6), nih_folder(root / "nih", NIH)
    rng = np.random.default_rng(0)
    films = read_folder(rsna) + read_folder(nih)
    films = [films[k] for k in rng.permutation(len(films))]  # not the order of the folders
    judged = judge(films, rng)
    names = [film.id for film in films]
    kept = keep(names, judged.folds, judged.outputs, SIDE)
    judged = replace(judged, outputs=outputs_of(kept))
    own = np.array([film.source == "rsna" for film in films])
    figures = key_figures(out_of_fold(judged.take(own), draws=DRAWS))
    others = judged.take(~own)
    figures["nih_pneumonia_auc"] = foreign_auc(
        others.outputs.logits,
        others.labels,
        others.patients,
        choose(judged.take(own)).calibration,
        draws=DRAWS,
    )
    knowing = keep(
        names,
        judged.folds,
        judged.outputs,
        SIDE,
        labels=judged.labels,
        truth=judged.truth,
        patients=judged.patients,
        views=judged.views,
        sources=[film.source for film in films],
    )
    return Trained(
        rsna,
        nih,
        films,
        judged,
        tiny_bundle(root / "plain", kept=kept, metrics=figures),
        tiny_bundle(root / "knowing", kept=knowing, metrics=figures),
    )


def judge(films: list[Film], rng: np.random.Generator) -> Judged:
    squares = [make_square(film, FORM) for film in films]
    labels = np.array([film.label for film in films], np.int32)
    count = len(films)
    truth = [square.corners(film) for film, square in zip(films, squares, strict=True)]
    boxes = rng.uniform(0, 30, (count, 2, 4)) + np.array([0, 0, 30, 30])
    for k, each in enumerate(truth):
        boxes[k, 0] = each[0] + rng.normal(0, 1, 4) if len(each) else boxes[k, 0]
    numbers = {name: k for k, name in enumerate(dict.fromkeys(film.patient for film in films))}
    return Judged(
        outputs=Outputs(
            (rng.normal(size=(count, 3)) + np.eye(3)[labels]).astype(np.float32),
            boxes.astype(np.float32),
            # Candidates of which some are too faint to be kept.
            np.stack([rng.uniform(0.1, 0.9, count), rng.uniform(0, 0.05, count)], 1).astype("f4"),
        ),
        labels=labels,
        truth=[None if film.boxes is None else truth[k] for k, film in enumerate(films)],
        patients=[film.patient for film in films],
        folds=np.array([numbers[film.patient] % 3 for film in films]),
        views=[square.view for square in squares],
        size=SIDE,
    )


def test_figures_from_the_folders_are_those_of_the_bundle(trained: Trained, tmp_path: Path) -> None:
    report = evaluate_kept(trained.bundle, SETTING, folders=[trained.nih, trained.rsna])
    wanted = evaluate_kept(trained.knowing, SETTING)
    assert (report.differing, report.left_out, report.not_again) == ((), 0, ())
    assert wanted.differing == ()
    assert report.others == wanted.others
    assert "nih_pneumonia_auc" in report.others
    assert report.told.metrics == wanted.told.metrics
    assert report.told.points == wanted.told.points
    # The folders tell more than was kept: sex, age and mean intensity.
    assert set(wanted.told.controls) < set(report.told.controls)
    assert "mean_intensity_only_auc" in report.told.controls
    assert {group.kind for group in report.told.groups} == {"view", "sex", "age"}
    assert report.gallery is not None
    page = write_report(tmp_path, report).read_text()
    assert "Every figure of bundle.json was computed again here and is the same." in page


def test_what_the_folders_tell_is_what_was_known_when_training(trained: Trained) -> None:
    judged, names = trained.judged, [film.id for film in trained.films]
    kept = keep(names, judged.folds, judged.outputs, SIDE)
    found = with_known(kept, read_folder(trained.rsna), FORM)
    own = np.array([film.source == "rsna" for film in trained.films])
    taken = judged.take(own)
    wanted = keep(
        [name for name, mine in zip(names, own, strict=True) if mine],
        taken.folds,
        taken.outputs,
        SIDE,
        labels=taken.labels,
        truth=taken.truth,
        patients=taken.patients,
        views=taken.views,
        sources=["rsna"] * RSNA,
    )
    for field in dataclasses.fields(OutOfFold):
        if field.name != "known":
            assert np.array_equal(getattr(found, field.name), getattr(wanted, field.name))
    assert found.known is not None
    assert wanted.known is not None
    for field in dataclasses.fields(Known):
        if field.name not in ("sexes", "ages", "intensity"):
            left, right = getattr(found.known, field.name), getattr(wanted.known, field.name)
            assert np.array_equal(left, right), field.name
    number = int(np.array(names)[own].tolist()[0].removeprefix("film-"))
    assert found.known.sexes[0] == ("F" if number % 2 else "M")
    assert set(found.known.ages) == {"21-40", "41-60"}
    first = next(film for film in trained.films if film.source == "rsna")
    mean = make_square(first, FORM).image.mean()
    assert found.known.intensity[0] == pytest.approx(mean)


def test_films_that_are_in_no_named_folder_are_left_out_and_told(
    trained: Trained, tmp_path: Path
) -> None:
    console = Console(file=io.StringIO(), width=400)
    report = evaluate_command(
        [trained.bundle.path, trained.rsna],
        settings.Settings(),
        tmp_path / "out",
        console,
        out_of_fold=True,
        draws=DRAWS,
    )
    assert (report.left_out, report.differing) == (NIH, ())
    assert report.not_again == ("nih_pneumonia_auc",)
    sentence = (
        f"{NIH} films that predictions are kept of are in none of the named folders and were left"
        " out, so these figures of bundle.json were not computed again, or not on all their films:"
        " nih_pneumonia_auc. Every other one is the same."
    )
    assert isinstance(console.file, io.StringIO)
    for text in (console.file.getvalue(), (tmp_path / "out" / "report.html").read_text()):
        assert sentence in text
        assert "not what was computed here" not in text
    told = json.loads((tmp_path / "out" / "report.json").read_text())
    assert told["films_left_out"] == NIH
    assert told["not_computed_again"] == ["nih_pneumonia_auc"]
    assert told["differing_from_bundle"] == []
    named = replace(trained.bundle, metrics={"brier": trained.bundle.metrics["brier"]})
    whole = evaluate_kept(named, SETTING, folders=[trained.rsna])
    assert whole.verdict.endswith("every figure of bundle.json came out the same without them.")


def test_labels_that_were_changed_make_a_difference(trained: Trained, tmp_path: Path) -> None:
    changed = shutil.copytree(trained.rsna, tmp_path / "rsna")
    table = changed / "stage_2_detailed_class_info.csv"
    table.write_text(
        table.read_text().replace("film-00,Normal", "film-00,No Lung Opacity / Not Normal")
    )
    report = evaluate_kept(trained.bundle, SETTING, folders=[changed, trained.nih])
    assert report.differing is not None
    assert "accuracy_3_classes" in report.differing
    assert "accuracy_3_classes" in report.verdict
    assert document(report)["differing_from_bundle"] == list(report.differing)


def test_a_film_missing_from_folders_of_every_source_is_an_error(
    trained: Trained, tmp_path: Path
) -> None:
    cut = shutil.copytree(trained.nih, tmp_path / "nih")
    lines = (cut / "labels.csv").read_text().splitlines()
    (cut / "labels.csv").write_text("\n".join(lines[:-2]) + "\n")
    with pytest.raises(EvaluationError, match=f"2 of the {RSNA + NIH} films .* in none of the"):
        evaluate_kept(trained.bundle, SETTING, folders=[trained.rsna, cut])


def test_folders_of_other_films_or_none_at_all_are_an_error(
    trained: Trained, tmp_path: Path
) -> None:
    with pytest.raises(EvaluationError, match=r"keeps no labels .* name the folders"):
        evaluate_kept(trained.bundle, SETTING)
    other = nih_folder(tmp_path / "nih", 1)
    (other / "images" / "0.jpg").rename(other / "images" / "other.jpg")
    table = other / "labels.csv"
    table.write_text(table.read_text().replace("0.jpg", "other.jpg"))
    with pytest.raises(EvaluationError, match="no film of the named folders is among"):
        evaluate_kept(trained.bundle, SETTING, folders=[other])


def test_films_that_cannot_be_decoded_any_more_are_counted(
    trained: Trained, tmp_path: Path
) -> None:
    rsna = shutil.copytree(trained.rsna, tmp_path / "rsna")
    nih = shutil.copytree(trained.nih, tmp_path / "nih")
    (rsna / "stage_2_train_images" / "film-03.dcm").write_bytes(b"nothing")
    (nih / "images" / "3.jpg").write_bytes(b"nothing")
    with pytest.raises(EvaluationError, match=r"2 of the films .* cannot be decoded"):
        evaluate_kept(trained.bundle, SETTING, folders=[rsna, nih])


def test_two_bundles_without_labels_are_compared_by_the_same_folder(trained: Trained) -> None:
    report = evaluate_kept(trained.bundle, SETTING, folders=[trained.nih], against=trained.bundle)
    assert report.comparison is not None
    assert report.comparison.films == NIH
    assert report.left_out == RSNA
    assert "opacity_auc" in report.not_again
