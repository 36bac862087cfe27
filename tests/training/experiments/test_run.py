"""A run leaves what results are made of, agrees with its seed, and survives being killed."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest
import tiny
from experiments_kaggle import write_folder
from test_faster_rcnn import Tiny, save

from training.experiments.build import load_run
from training.experiments.overrides import Overrides
from training.experiments.predict import predict_paths
from training.experiments.progress import Progress
from training.experiments.record import Outcome
from training.experiments.run import run
from training.experiments.spec import Spec, find, validate
from training.kaggle.folder import open_folder

pytestmark = pytest.mark.long

PATHS = [str(Path(__file__).resolve().parents[3]), str(Path(__file__).parent)]


def own(**changes: dict[str, object]) -> Spec:
    """A quick experiment, on pictures of 32 pixels."""
    values: dict[str, dict[str, object]] = {
        "data": {"films": 30, "size": 32, "source": "dicom", "colour": "stacked"},
        "train": {
            "epochs": 2, "batch": 8, "optimizer": "adam", "learning_rate": 1e-3,
            "loss": "categorical_crossentropy",
            "augmentation": {},
        },
        "network": {},
    }  # fmt: skip
    for part, given in changes.items():
        values[part] |= given
    named = {"id": "mine", "table": "own", "row": "r", "model": "model_3", "note": "n"}
    return validate(named | values, "mine")


@pytest.fixture(scope="module", autouse=True)
def tiny_networks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        tiny.use(patch)
        yield


@pytest.fixture(scope="module")
def kaggle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_folder(tmp_path_factory.mktemp("kaggle"), 40, side=48)
    tests = folder / "stage_2_test_images"
    tests.mkdir()
    for film in sorted((folder / "stage_2_train_images").iterdir())[:3]:
        (tests / f"t{film.name}").write_bytes(film.read_bytes())
    return folder


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Overrides:
    """A detector's SavedModel where it is looked for, and few films: the quickest run."""
    weights = tmp_path_factory.mktemp("weights")
    save(weights / "faster_rcnn_nas" / "saved_model", Tiny())
    return Overrides(films=10, size=128, weights=str(weights))


@pytest.fixture(scope="module")
def done(kaggle: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The quick experiment, unbroken."""
    return run(own(), kaggle, tmp_path_factory.mktemp("runs"))


def record(outcome: Outcome) -> dict[str, object]:
    found = json.loads((outcome.home / "run.json").read_text())
    assert isinstance(found, dict)
    return found


def history(home: Path) -> list[dict[str, str]]:
    with (home / "history.csv").open() as file:
        return list(csv.DictReader(file))


def predictions(home: Path) -> dict[str, np.ndarray]:
    with np.load(home / "predictions.npz", allow_pickle=False) as kept:
        return {name: kept[name] for name in kept.files}


def test_a_run_leaves_its_record_history_predictions_and_weights(
    done: Outcome, kaggle: Path
) -> None:
    assert (done.status, done.reason, done.skipped) == ("done", None, False)
    kept = record(done)
    assert (kept["experiment"], kept["table"], kept["model"]) == ("mine", "own", "model_3")
    assert (kept["status"], kept["reason"], kept["epochs_done"]) == ("done", None, 2)
    assert kept["films"] == {"train": 18, "val": 6, "test": 6}
    trained = tiny.TOTAL - tiny.FIXED
    assert kept["parameters"] == {
        "total": tiny.TOTAL, "trainable": trained, "fixed": tiny.FIXED,
    }  # fmt: skip
    assert kept["seed"] == 0
    assert validate(kept["settings"], "settings") == own()  # type: ignore[arg-type]
    rows = history(done.home)
    assert list(rows[0]) == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]
    assert [row["epoch"] for row in rows] == ["1", "2"]
    found = predictions(done.home)
    assert set(found) == {"split", "patient_id", "y_true", "y_prob"}
    assert [(found["split"] == name).sum() for name in ("train", "val", "test")] == [18, 6, 6]
    assert len(set(found["patient_id"].tolist())) == 30
    targets = open_folder(kaggle).targets()
    assert found["y_true"].tolist() == [targets[name] for name in found["patient_id"].tolist()]
    assert ((found["y_prob"] > 0) & (found["y_prob"] < 1)).all()
    assert any((done.home / "tensorboard" / "train").iterdir())
    assert list((done.home / "checkpoint").iterdir()) == []


def test_a_finished_run_can_be_loaded_and_predicts_as_it_did(done: Outcome, kaggle: Path) -> None:
    spec, model = load_run(done.home)
    assert spec == own()
    found = predictions(done.home)
    images = open_folder(kaggle).train_images
    paths = [images[name] for name in found["patient_id"].tolist()]
    broken = paths[0].with_name("broken.dcm")
    broken.write_bytes(b"no film")
    outputs = predict_paths(model, spec, [*paths, broken])
    broken.unlink()
    assert outputs[:-1, 1] == pytest.approx(found["y_prob"], abs=1e-5)
    assert np.isnan(outputs[-1]).all()


def test_two_runs_of_one_seed_agree_and_another_seed_differs(
    done: Outcome, kaggle: Path, tmp_path: Path
) -> None:
    again = run(own(), kaggle, tmp_path / "a")
    other = run(own(), kaggle, tmp_path / "b", Overrides(seed=1))
    assert history(again.home) == history(done.home)
    one, two = predictions(done.home), predictions(again.home)
    assert all((one[name] == two[name]).all() for name in one)
    assert history(other.home) != history(done.home)
    assert record(other)["seed"] == 1


def test_a_run_that_is_done_is_not_run_again_and_another_takes_its_place(
    kaggle: Path, detector: Overrides, tmp_path: Path
) -> None:
    spec = find("faster_rcnn-nas_coco")
    first = run(spec, kaggle, tmp_path, detector)
    stamp = (first.home / "predictions.npz").stat().st_mtime_ns
    again = run(spec, kaggle, tmp_path, detector)
    assert again.skipped
    assert (first.home / "predictions.npz").stat().st_mtime_ns == stamp
    # A call that cannot even begin does no harm to what is there.
    lost = run(spec, tmp_path / "nowhere", tmp_path, detector)
    assert lost.status == "failed"
    assert record(first)["status"] == "done"
    other = run(spec, kaggle, tmp_path, replace(detector, films=12))
    assert record(other)["films"] == {"train": 0, "val": 0, "test": 12}
    (kept,) = (tmp_path / ".replaced").iterdir()
    assert json.loads((kept / "run.json").read_text())["films"]["test"] == 10


KILLED = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[3:]
import pytest
import tiny
from test_run import own
from training.experiments.run import run

tiny.use(pytest.MonkeyPatch())

def watch(step):
    if step.stage == "train" and step.epoch == 2:
        print("second epoch", flush=True)
        sys.stdin.read()

run(own(), Path(sys.argv[1]), Path(sys.argv[2]), watch=watch)
"""


def test_a_killed_run_goes_on_and_ends_as_an_unbroken_one(
    done: Outcome, kaggle: Path, tmp_path: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, kaggle, tmp_path, *PATHS],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "second epoch\n"
        process.kill()
    kept = json.loads((tmp_path / "mine" / "run.json").read_text())
    assert (kept["status"], kept["epochs_done"]) == ("running", 1)
    seen: list[Progress] = []
    resumed = run(own(), kaggle, tmp_path, watch=seen.append)
    assert {step.epoch for step in seen if step.stage == "train"} == {2}
    assert record(resumed)["started"] == kept["started"]
    assert history(resumed.home) == history(done.home)
    one, two = predictions(done.home), predictions(resumed.home)
    assert all((one[name] == two[name]).all() for name in one)


SIZE_16 = {**own().data.model_dump(), "size": 16}


@pytest.mark.parametrize(
    ("spec", "overrides", "says"),
    [
        (own(train={"learning_rate": 3e38}), Overrides(), "after epoch 1: training has diverged"),
        (
            find("transfer-densenet121-array"),
            Overrides(films=24, size=32, weights="/nowhere"),
            "no file densenet121.h5",
        ),
        (find("faster_rcnn-nas_coco"), Overrides(), "give the folder of its SavedModel"),
        (
            validate({**own().model_dump(), "model": "model", "data": SIZE_16}, "x"),
            Overrides(),
            "model takes pictures of 32 pixels or more",
        ),
        (own(data={"split": "patient"}), Overrides(), "24 films are too few"),
    ],
)
def test_a_run_that_fails_says_why_and_leaves_no_predictions(
    spec: Spec, overrides: Overrides, says: str, tmp_path: Path
) -> None:
    folder = write_folder(tmp_path / "kaggle", 24, side=32, patients=2)
    outcome = run(spec, folder, tmp_path, overrides)
    kept = record(outcome)
    assert (outcome.status, kept["status"]) == ("failed", "failed")
    assert says in str(kept["reason"])
    assert outcome.reason == kept["reason"]
    assert not (outcome.home / "predictions.npz").exists()
    assert "Error" in (outcome.home / "error.txt").read_text()


def test_an_unexpected_error_is_recorded_too_and_a_later_run_clears_it(
    kaggle: Path, detector: Overrides, tmp_path: Path
) -> None:
    spec = find("faster_rcnn-nas_coco")

    def broken(_: Progress) -> None:
        raise ZeroDivisionError("in the middle")

    failed = run(spec, kaggle, tmp_path, detector, watch=broken)
    assert failed.reason == "ZeroDivisionError: in the middle (all of it is in error.txt)"
    assert "in broken" in (failed.home / "error.txt").read_text()
    later = run(spec, kaggle, tmp_path, detector)
    assert later.status == "done"
    assert not (later.home / "error.txt").exists()


BOXES = Overrides(epochs=1, size=32, batch=8, weights="none")


@pytest.fixture(scope="module")
def boxes_done(kaggle: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The box regressor, trained a little."""
    return run(find("boxes-mobilenet"), kaggle, tmp_path_factory.mktemp("boxes"), BOXES)


def test_a_box_run_predicts_in_pixels_of_the_film_and_the_challenges_test_films(
    kaggle: Path, boxes_done: Outcome
) -> None:
    outcome = boxes_done
    assert outcome.remarks == ("started at random as asked, not from imagenet",)
    found = predictions(outcome.home)
    assert list(history(outcome.home)[0]) == ["epoch", "loss", "iou", "val_loss", "val_iou"]
    folder = open_folder(kaggle)
    boxes = folder.boxes()
    own_films = found["split"] != "challenge"
    truth = [boxes[name][0] for name in found["patient_id"][own_films].tolist()]
    assert found["boxes_true"][own_films] == pytest.approx(np.array(truth), abs=0.1)
    assert found["patient_id"][~own_films].tolist() == sorted(folder.test_images)
    assert np.isfinite(found["boxes_pred"]).all()
    assert np.isnan(found["boxes_true"][~own_films]).all()
    kept = record(outcome)
    assert kept["weights"] == {"wanted": "imagenet", "used": "none"}
    constant = kept["constant_box"]
    assert isinstance(constant, dict)
    assert len(constant["box"]) == 4
    assert 0 < constant["iou"]["train"] <= 1
    # The test film that is a training film under another name has its box.
    of = dict(zip(found["patient_id"].tolist(), found["boxes_pred"].tolist(), strict=True))
    positive = next(
        name for name in sorted(folder.test_images) if name[1:] in boxes and boxes[name[1:]]
    )
    assert of[positive] == pytest.approx(of[positive[1:]], abs=1e-2)


def test_unscaled_targets_are_the_films_pixels_and_come_back_as_such(
    kaggle: Path, boxes_done: Outcome, tmp_path: Path
) -> None:
    right = boxes_done
    wrong = run(find("boxes-mobilenet@unscaled_targets"), kaggle, tmp_path, BOXES)
    assert wrong.home.name == "boxes-mobilenet@unscaled_targets"
    assert (
        predictions(wrong.home)["boxes_true"][:10] == predictions(right.home)["boxes_true"][:10]
    ).all()
    losses = [float(history(each.home)[0]["loss"]) for each in (wrong, right)]
    assert losses[0] > 100 * losses[1]


def test_a_detector_runs_without_training(
    kaggle: Path, detector: Overrides, tmp_path: Path
) -> None:
    outcome = run(find("faster_rcnn-nas_coco"), kaggle, tmp_path, detector)
    assert outcome.status == "done", outcome.reason
    found = predictions(outcome.home)
    assert found["patient_id"].shape == (10,)
    assert found["film_index"].tolist() == [k for k in range(10) for _ in range(2)]
    assert found["boxes"].shape == (20, 4)
    assert found["boxes"][0].tolist()[2:] == [512, 512]  # half of the film, whatever the size
    boxes = open_folder(kaggle).boxes()
    for k, name in enumerate(found["patient_id"].tolist()):
        mine = found["boxes_true"][found["true_film_index"] == k].tolist()
        assert mine == [pytest.approx(box, abs=0.1) for box in boxes[name]]
    assert record(outcome)["films"] == {"train": 0, "val": 0, "test": 10}


def test_a_size_below_the_networks_smallest_becomes_that_and_is_told(
    kaggle: Path, tmp_path: Path
) -> None:
    # Only the size is of interest: what would follow is told by the other tests.
    overrides = Overrides(films=30, epochs=1, size=32, batch=8)

    def enough(_: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(find("grid-more_layers-model_3"), kaggle, tmp_path, overrides, watch=enough)
    kept = json.loads((tmp_path / "grid-more_layers-model_3" / "run.json").read_text())
    assert kept["remarks"] == ["size 63 instead of 32: model_3 takes no smaller pictures"]
    assert kept["settings"]["data"]["size"] == 63
    assert kept["status"] == "running"


@dataclass
class Told:
    """What was told while a run in mixed precision was logged to a stand-in for MLflow."""

    outcome: Outcome
    policies: set[str]
    mlflow: list[tuple[str, Any]]


@pytest.fixture(scope="module")
def mixed(kaggle: Path, tmp_path_factory: pytest.TempPathFactory) -> Told:
    policies: set[str] = set()
    told: list[tuple[str, Any]] = []

    def tell(name: str) -> Callable[..., None]:
        return lambda *values, **named: told.append((name, (values, named)))

    module = ModuleType("mlflow")
    for name in ("set_experiment", "start_run", "log_params", "log_metrics", "end_run"):
        setattr(module, name, tell(name))
    spec = own(train={"epochs": 1, "precision": "mixed_float16", "augmentation": None})
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "mlflow", module)
        outcome = run(
            spec, kaggle, tmp_path_factory.mktemp("mixed"), mlflow=True,
            watch=lambda _: policies.add(keras.config.dtype_policy().name),
        )  # fmt: skip
    return Told(outcome, policies, told)


def test_mixed_precision_is_used_and_ends_with_the_run(mixed: Told) -> None:
    assert mixed.outcome.status == "done", mixed.outcome.reason
    assert "mixed_float16" in mixed.policies
    assert keras.config.dtype_policy().name == "float32"
    found = predictions(mixed.outcome.home)
    assert found["y_prob"].dtype == np.float32
    assert np.isfinite(found["y_prob"]).all()


def test_mlflow_is_told_settings_and_epochs_where_it_is_asked_for(mixed: Told) -> None:
    assert [name for name, _ in mixed.mlflow] == [
        "set_experiment", "start_run", "log_params", "log_metrics", "end_run",
    ]  # fmt: skip
    (params,), _ = mixed.mlflow[2][1]
    assert (params["id"], params["train.batch"]) == ("mine", 8)
    (measured,), named = mixed.mlflow[3][1]
    assert (set(measured), named) == (
        {"loss", "accuracy", "val_loss", "val_accuracy"}, {"step": 1},
    )  # fmt: skip


TWO_DEVICES = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[3:]
import tensorflow as tf
(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import pytest
import tiny
from test_run import own
from training.experiments.run import run

tiny.use(pytest.MonkeyPatch())
outcome = run(own(), Path(sys.argv[1]), Path(sys.argv[2]), devices=["CPU:0", "CPU:1"])
print(outcome.status, outcome.reason)
"""


def test_two_devices_share_each_batch_and_come_to_the_same(
    done: Outcome, kaggle: Path, tmp_path: Path
) -> None:
    found = subprocess.run(
        [sys.executable, "-c", TWO_DEVICES, kaggle, tmp_path, *PATHS],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.stdout == "done None\n", found.stderr[-2000:]
    one, two = history(done.home), history(tmp_path / "mine")
    # Batch normalisation sees half a batch on each device, so only nearly.
    assert float(two[0]["loss"]) == pytest.approx(float(one[0]["loss"]), rel=0.3)
    assert len(two) == 2
