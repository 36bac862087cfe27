"""A run in a process of its own tells how far it is, and its death is put on record."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import pytest
from experiments_kaggle import write_folder

from training.experiments.apart import run_apart
from training.experiments.callbacks import Progress
from training.experiments.overrides import Overrides
from training.experiments.spec import find

SMALL = Overrides(films=30, epochs=1, size=32, batch=8)


@pytest.fixture(scope="module")
def kaggle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("kaggle"), 30, side=48)


def test_a_run_apart_tells_its_progress_and_how_it_ended(kaggle: Path, tmp_path: Path) -> None:
    seen: list[Progress] = []
    outcome = run_apart(find("base-model_3"), kaggle, tmp_path, SMALL, watch=seen.append)
    assert (outcome.status, outcome.reason) == ("done", None)
    assert {step.stage for step in seen} == {"decode", "train"}
    assert [step.done for step in seen if step.stage == "train"] == [1, 2, 3]
    assert multiprocessing.active_children() == []


def test_a_run_whose_process_is_killed_has_failed_and_says_so(kaggle: Path, tmp_path: Path) -> None:
    def kill(_: Progress) -> None:
        for child in multiprocessing.active_children():
            child.kill()

    outcome = run_apart(find("base-model_3"), kaggle, tmp_path, SMALL, watch=kill)
    assert outcome.status == "failed"
    kept = json.loads((tmp_path / "base-model_3" / "run.json").read_text())
    assert kept["status"] == "failed"
    assert kept["reason"] == outcome.reason
    assert "ended by SIGKILL: there may not have been enough memory" in kept["reason"]
    assert multiprocessing.active_children() == []


def test_the_person_who_ends_it_ends_the_process_too(kaggle: Path, tmp_path: Path) -> None:
    def end(_: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_apart(find("base-model_3"), kaggle, tmp_path, SMALL, watch=end)
    assert multiprocessing.active_children() == []
    kept = json.loads((tmp_path / "base-model_3" / "run.json").read_text())
    assert kept["status"] == "running"
