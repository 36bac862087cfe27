"""`hilum train`: experiments one after the other, a failure among them, and the list of all."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny
from experiments_kaggle import write_folder
from rich.console import Console

from commands.problem import ProblemError
from commands.train import full_size_command, list_experiments, train
from training.experiments.spec import find, load_all

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def tiny_networks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        tiny.use(patch)
        yield


def console() -> Console:
    return Console(file=io.StringIO(), width=200, force_terminal=False)


def said(to: Console) -> str:
    assert isinstance(to.file, io.StringIO)
    return to.file.getvalue()


def test_a_failure_is_told_and_the_next_experiment_runs(tmp_path: Path) -> None:
    folder, runs, to = write_folder(tmp_path / "kaggle", 30, side=48), tmp_path / "runs", console()
    names = ["faster_rcnn-nas_coco", "boxes-mobilenet", "base-model_3@by_patient"]
    done = train(
        names, folder, runs, to, films=30, epochs=1, size=32, batch=8, random_if_missing=True,
        weights=str(tmp_path), apart=False,
    )  # fmt: skip
    assert not done
    text = said(to)
    assert "faster_rcnn-nas_coco: failed: " in text
    assert "no SavedModel there" in text
    assert "boxes-mobilenet: done in" in text
    assert "started at random: " in text
    assert "base-model_3@by_patient: done in" in text
    assert f"at full size: hilum train boxes-mobilenet --folder {folder}" in text
    assert "2 of 3 experiments are done" in text
    states = {name: json.loads((runs / name / "run.json").read_text())["status"] for name in names}
    assert states == dict(zip(names, ("failed", "done", "done"), strict=True))

    again = console()
    kept = {
        "films": 30,
        "epochs": 1,
        "size": 32,
        "batch": 8,
        "random_if_missing": True,
        "apart": False,
    }
    assert train(names[1:2], folder, runs, again, weights=str(tmp_path), **kept)
    assert "boxes-mobilenet: done before" in said(again)


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["base-modell"], "base-modell: there is no such experiment; did you mean"),
        ([], "name an experiment, or give --all"),
        (["base-model", "base-model@nothing"], "it has no variant 'nothing'"),
    ],
)
def test_what_cannot_be_run_is_told_before_anything_runs(
    tmp_path: Path, names: list[str], says: str
) -> None:
    folder = write_folder(tmp_path / "kaggle", 4, side=32)
    with pytest.raises(ProblemError, match=says):
        train(names, folder, tmp_path / "runs", console())
    assert not (tmp_path / "runs").exists()


def test_a_folder_that_is_none_is_told_once(tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match="there is no such folder"):
        train("all", tmp_path / "nowhere", tmp_path / "runs", console())
    assert not (tmp_path / "runs").exists()


def test_mlflow_that_is_not_installed_is_told(tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match="pip install mlflow"):
        train("all", tmp_path, tmp_path, console(), mlflow=True)


def test_the_list_holds_every_row_with_its_figure_and_state(tmp_path: Path) -> None:
    home = tmp_path / "grid-adam-model"
    home.mkdir()
    (home / "run.json").write_text('{"status": "running"}')
    to = console()
    list_experiments(to, tmp_path)
    text = said(to)
    specs = load_all()
    assert all(spec.id in text for spec in specs)
    line = next(line for line in text.splitlines() if line.strip().startswith("grid-adam-model "))
    assert "59 / 71.42" in line
    assert "running" in line
    assert f"{len(specs)} experiments" in text


def test_the_full_size_command_changes_nothing_in_the_experiment() -> None:
    assert full_size_command(find("base-model"), Path("k")) == "hilum train base-model --folder k"


def test_the_front_door_does_not_load_tensorflow() -> None:
    code = "import sys, commands.train; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0
