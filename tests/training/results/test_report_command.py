"""`hilum report` and `hilum submission`, as a person at a terminal sees them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from commands.problem import ProblemError
from commands.report import report, submission
from inference.bundle import BundleError
from tests.training.results.made import boxed, labelled, run_folder
from training.phantoms import phantom, write_phantom_dicom
from training.results.submission import check_submission


def console() -> tuple[Console, io.StringIO]:
    text = io.StringIO()
    return Console(file=text, width=200), text


def kaggle(folder: Path, *, test: int = 3, sample: tuple[str, ...] | None = None) -> Path:
    """A small Kaggle folder; `sample` names the sample submission's films, by default its own."""
    film = phantom(np.random.default_rng(0), kind="opacity", size=128)
    names = [f"test-{k}" for k in range(test)]
    for part, members in (("train", ["train-0"]), ("test", names)):
        images = folder / f"stage_2_{part}_images"
        images.mkdir(parents=True)
        for name in members:
            write_phantom_dicom(film, images / f"{name}.dcm", bits=8, age=3)
    (folder / "stage_2_train_labels.csv").write_text(
        "patientId,x,y,width,height,Target\ntrain-0,1,2,30,40,1\n"
    )
    (folder / "stage_2_detailed_class_info.csv").write_text(
        "patientId,class\ntrain-0,Lung Opacity\n"
    )
    wanted = names if sample is None else sample
    if wanted:
        lines = ["patientId,PredictionString", *(f"{n},0.5 0 0 100 100" for n in wanted)]
        (folder / "stage_2_sample_submission.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_a_submission_from_the_packaged_bundle_is_written_and_checked(tmp_path: Path) -> None:
    folder, out = kaggle(tmp_path / "kaggle"), tmp_path / "new" / "submission.csv"
    screen, text = console()
    assert submission(folder, None, out, screen)
    assert check_submission(out, folder / "stage_2_sample_submission.csv") == []
    assert "3 films, " in text.getvalue()


def test_a_film_without_an_image_gets_an_empty_line_and_is_named(tmp_path: Path) -> None:
    folder = kaggle(tmp_path / "kaggle", sample=("test-1", "gone", "test-0"))
    screen, text = console()
    out = tmp_path / "submission.csv"
    assert not submission(folder, None, out, screen)
    assert [line.split(",")[0] for line in out.read_text().splitlines()] == [
        "patientId",
        "test-1",
        "gone",
        "test-0",
    ]
    assert "gone,\n" in out.read_text()
    assert "gone: there is no image of it" in text.getvalue()


def test_without_a_sample_the_films_of_the_folder_are_submitted(tmp_path: Path) -> None:
    folder = kaggle(tmp_path / "kaggle", sample=())
    screen, text = console()
    out = tmp_path / "submission.csv"
    assert submission(folder, None, out, screen)
    assert len(out.read_text().splitlines()) == 4
    assert "no sample submission" in text.getvalue()


def test_a_box_runs_predictions_are_submitted(tmp_path: Path) -> None:
    folder = kaggle(tmp_path / "kaggle")
    arrays = boxed(splits=(("test", 3),)) | {"patient_id": np.array(["test-0", "test-1", "test-2"])}
    run = run_folder(tmp_path / "runs", "boxes-mobilenet", arrays)
    out = tmp_path / "submission.csv"
    assert submission(folder, run, out, console()[0])
    first = out.read_text().splitlines()[1]
    x, y, width, height = arrays["boxes_pred"][0]
    values = [float(word) for word in first.split(",")[1].split()]
    assert values == pytest.approx([1.0, x, y, width, height], abs=0.11)


@pytest.mark.parametrize(
    ("what", "error", "says"),
    [
        ("no folder", ProblemError, "there is no such folder"),
        ("no films", ProblemError, "no test films"),
        ("no bundle", BundleError, "bundle.json"),
        ("a classifier", ProblemError, "predicts none"),
    ],
)
def test_what_a_person_can_mend_is_one_sentence(
    tmp_path: Path, what: str, error: type[Exception], says: str
) -> None:
    folder = kaggle(tmp_path / "kaggle", test=0 if what == "no films" else 1, sample=())
    source = None
    if what == "no folder":
        folder = tmp_path / "nowhere"
    elif what == "no bundle":
        source = tmp_path
    elif what == "a classifier":
        source = run_folder(tmp_path / "runs", "base", labelled())
    screen, _ = console()
    with pytest.raises(error, match=says):
        submission(folder, source, tmp_path / "submission.csv", screen)
    assert not (tmp_path / "submission.csv").exists()


def test_the_report_is_written_and_named(tmp_path: Path) -> None:
    run_folder(tmp_path / "runs", "base-model", labelled())
    screen, text = console()
    written = report(tmp_path / "runs", tmp_path / "out", screen, folder=kaggle(tmp_path / "k"))
    assert written.is_file()
    assert str(written) in text.getvalue()
    assert "by bootstrap over films" in written.read_text()  # no nih_patients.csv is there


def test_a_broken_experiment_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.experiments import spec
    from training.results import page

    (tmp_path / "specs").mkdir()
    (tmp_path / "runs").mkdir()
    (tmp_path / "specs" / "x.toml").write_text("id = 3")
    monkeypatch.setattr(page, "load_all", lambda: spec.load_all(tmp_path / "specs"))
    with pytest.raises(ProblemError, match=r"x\.toml"):
        report(tmp_path / "runs", tmp_path / "out", console()[0])
