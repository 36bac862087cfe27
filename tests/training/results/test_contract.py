"""What `training.experiments` leaves behind is what is read here: two experiments, run for real."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.experiments import tiny
from tests.training.experiments.experiments_kaggle import write_folder
from training.experiments.overrides import Overrides
from training.experiments.record import Status
from training.experiments.run import run
from training.experiments.spec import find
from training.kaggle.folder import open_folder
from training.results.measured import Boxed, Classified, known_from, measure
from training.results.page import report
from training.results.runs import load_run
from training.results.submission import from_run

SMALL = Overrides(films=16, size=32, epochs=2, batch=4, weights="none", random_if_missing=True)


def test_runs_are_measured_shown_and_submitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.use(monkeypatch)
    kaggle, runs = write_folder(tmp_path / "kaggle", 40, patients=20), tmp_path / "runs"
    images = kaggle / "stage_2_train_images"
    (kaggle / "stage_2_test_images").mkdir()
    for number in (0, 1):
        film = images / f"film{number:04d}.dcm"
        (kaggle / "stage_2_test_images" / f"test{number}.dcm").write_bytes(film.read_bytes())
    for name in ("grid-base-model_3", "boxes-mobilenet"):
        outcome = run(find(name), kaggle, runs, SMALL)
        assert outcome.status is Status.DONE, outcome.reason
    folder = open_folder(kaggle)
    known = known_from(folder)

    classes = load_run(runs / "grid-base-model_3")
    found = measure(classes, known)
    assert isinstance(found, Classified)
    assert found.split == "test"
    assert found.confusion.films == classes.record.films.test > 0
    assert classes.record.parameters is not None
    assert classes.record.parameters.total == tiny.TOTAL
    assert {len(values) for values in classes.history.values()} == {2}

    boxes = load_run(runs / "boxes-mobilenet")
    drawn = measure(boxes, known)
    assert isinstance(drawn, Boxed)
    assert len(drawn.iou) == boxes.record.films.test > 0
    assert {"loss", "iou", "val_loss", "val_iou"} <= set(boxes.history)
    assert boxes.record.remarks  # its weights are not ImageNet's, and that is said

    films = list(from_run(runs / "boxes-mobilenet", folder.test_images))
    assert [film.problem for film in films] == [None, None]

    html = report(runs, tmp_path / "out", folder=folder).read_text()
    assert "61 rows: 2 done, 59 not run." in html
    assert html.count("data:image/png;base64,") == 3  # two sheets, and the regressor's films
    assert "by bootstrap over patients" in html
