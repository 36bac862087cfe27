"""A run in a process of its own tells how far it is, and its death is put on record."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import pytest
from experiments_kaggle import write_folder
from test_faster_rcnn import Tiny, save

from training.experiments.apart import run_apart
from training.experiments.overrides import Overrides
from training.experiments.progress import Progress
from training.experiments.run import run
from training.experiments.spec import Spec, find

pytestmark = pytest.mark.long

DETECTOR = find("faster_rcnn-nas_coco")
"""The quickest of all, as nothing is trained."""


@pytest.fixture(scope="module")
def kaggle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("kaggle"), 24, side=48)


@pytest.fixture(scope="module")
def overrides(tmp_path_factory: pytest.TempPathFactory) -> Overrides:
    saved = save(tmp_path_factory.mktemp("weights"), Tiny())
    return Overrides(films=10, size=64, weights=str(saved))


def test_what_was_done_before_is_skipped_and_the_rest_run_and_tell_how_far_they_are(
    kaggle: Path, overrides: Overrides, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def renamed(name: str) -> Spec:
        return DETECTOR.model_copy(update={"id": name})

    specs = [renamed("one"), renamed("two"), renamed("three")]
    for spec in specs[:2]:
        run(spec, kaggle, tmp_path, overrides)
    seen: list[tuple[str, Progress]] = []
    capfd.readouterr()
    outcomes = list(
        run_apart(
            specs, kaggle, tmp_path, overrides, watch=lambda s, step: seen.append((s.id, step))
        )
    )
    assert [(each.experiment, each.skipped) for each in outcomes] == [
        ("one", True), ("two", True), ("three", False),
    ]  # fmt: skip
    assert outcomes[2].status == "done"
    # What TensorFlow prints stands in a file, not on the person's screen.
    assert capfd.readouterr() == ("", "")
    assert (tmp_path / ".logs" / "one.txt").stat().st_size > 0
    assert seen == [("three", Progress("predict", done, 10)) for done in range(1, 11)]
    assert multiprocessing.active_children() == []


def test_a_run_whose_process_is_killed_has_failed_and_says_so(
    kaggle: Path, overrides: Overrides, tmp_path: Path
) -> None:
    def kill(_spec: Spec, _step: Progress) -> None:
        for child in multiprocessing.active_children():
            child.kill()

    other = DETECTOR.model_copy(update={"id": "other"})
    outcome, next_one = run_apart([DETECTOR, other], kaggle, tmp_path, overrides, watch=kill)
    assert (outcome.status, next_one.status) == ("failed", "failed")
    assert (outcome.experiment, next_one.experiment) == (DETECTOR.id, "other")
    kept = json.loads((tmp_path / DETECTOR.id / "run.json").read_text())
    assert kept["status"] == "failed"
    assert kept["reason"] == outcome.reason
    assert "ended by SIGKILL: there may not have been enough memory" in kept["reason"]
    assert multiprocessing.active_children() == []


def test_the_person_who_ends_it_ends_the_process_too(
    kaggle: Path, overrides: Overrides, tmp_path: Path
) -> None:
    def end(_spec: Spec, _step: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(run_apart([DETECTOR], kaggle, tmp_path, overrides, watch=end))
    assert multiprocessing.active_children() == []
    kept = json.loads((tmp_path / DETECTOR.id / "run.json").read_text())
    assert kept["status"] == "running"
