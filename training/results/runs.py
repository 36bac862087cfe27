"""Run folders, read: what a run says of itself, its epochs, and what it predicted."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

Split = Literal["train", "val", "test"]
Floats = NDArray[np.float64]
Names = NDArray[np.str_]

RECORD = "run.json"
HISTORY = "history.csv"
PREDICTIONS = "predictions.npz"


class RunError(Exception):
    """A run folder cannot be read; the message names the file and what is wrong."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Counts(_Part):
    """Films of each split."""

    train: int = 0
    val: int = 0
    test: int = 0


class Parameters(_Part):
    """Weights of the network."""

    total: int
    trainable: int
    fixed: int


class Record(_Part):
    """What `run.json` says.

    `reason` is why a run failed, `settings` the experiment as it was run, `remarks` what is not as
    its file says.
    """

    experiment: str
    status: Literal["done", "failed", "running"]
    reason: str | None = None
    remarks: tuple[str, ...] = ()
    seed: int | None = None
    films: Counts = Counts()
    epochs_done: int = 0
    parameters: Parameters | None = None
    seconds: float | None = None
    settings: Mapping[str, JsonValue] = {}


@dataclass(frozen=True, slots=True)
class Predictions:
    """A classifier's films, in one order: split, patientId, truth (0 or 1), probability of 1."""

    split: Names
    patient_id: Names
    truth: NDArray[np.bool_]
    probability: Floats

    def of(self, split: Split) -> Predictions:
        """The films of one split."""
        at = self.split == split
        return Predictions(
            self.split[at], self.patient_id[at], self.truth[at], self.probability[at]
        )


@dataclass(frozen=True, slots=True)
class BoxPredictions:
    """A regressor's films: one true and one predicted box each, (n, 4) x, y, width, height.

    Boxes are in pixels of the 1024 x 1024 film.
    """

    split: Names
    patient_id: Names
    truth: Floats
    predicted: Floats

    def of(self, split: Split) -> BoxPredictions:
        """The films of one split."""
        at = self.split == split
        return BoxPredictions(
            self.split[at], self.patient_id[at], self.truth[at], self.predicted[at]
        )


@dataclass(frozen=True, slots=True)
class Detections:
    """A detector's films, in one order, with any number of true and of found boxes each.

    `truth` and `found` hold a film's boxes (n, 4) as above, `scores` (n,) and `classes` (n,) what
    the detector says of those found; its classes are those that it was trained on.
    """

    patient_id: Names
    truth: tuple[Floats, ...]
    found: tuple[Floats, ...]
    scores: tuple[Floats, ...]
    classes: tuple[NDArray[np.int64], ...]


Predicted = Predictions | BoxPredictions | Detections


@dataclass(frozen=True, slots=True)
class Run:
    """One run folder. `history` maps a column of `history.csv` to its values, epoch by epoch."""

    folder: Path
    record: Record
    history: Mapping[str, Floats]
    predictions: Predicted | None


def load_runs(folder: Path) -> dict[str, Run | RunError]:
    """Read every run below `folder`, by the experiment's id: the name of its folder.

    A run that cannot be read stands there as the error that says why. Empty where there is no such
    folder.
    """
    found: dict[str, Run | RunError] = {}
    if folder.is_dir():
        for each in sorted(folder.iterdir()):
            if (each / RECORD).is_file():
                try:
                    found[each.name] = load_run(each)
                except RunError as error:
                    found[each.name] = error
    return found


def load_run(folder: Path) -> Run:
    """Read one run folder; a run that is not done may lack its epochs and predictions.

    Raises:
        RunError: a file is missing or not as it should be.
    """
    record = _record(folder / RECORD)
    history, predictions = folder / HISTORY, folder / PREDICTIONS
    done = record.status == "done"
    return Run(
        folder=folder,
        record=record,
        history=_history(history) if history.exists() else {},
        predictions=_predictions(predictions) if done or predictions.exists() else None,
    )


def _record(file: Path) -> Record:
    try:
        return Record.model_validate_json(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"{file}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise RunError(f"{file}: is not UTF-8 text; run the experiment again") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or "the document"
        raise RunError(f"{file}: {key}: {first['msg']}; run the experiment again") from None


def _history(file: Path) -> dict[str, Floats]:
    try:
        with file.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        # A run that was killed may have left half a line; what lacks a value is left out.
        whole = [row for row in rows if all(row.values())]
        names = list(rows[0]) if rows else []
        return {name: np.array([float(row[name]) for row in whole]) for name in names}
    except (OSError, UnicodeDecodeError, csv.Error, ValueError, TypeError) as error:
        raise RunError(f"{file}: no table of numbers ({error}); run the experiment again") from None


def _predictions(file: Path) -> Predicted:
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as kept:
            arrays = {name: kept[name] for name in kept.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise RunError(f"{file}: cannot be read ({error}); run the experiment again") from None
    read = _classes if "y_prob" in arrays else _detections if "film_index" in arrays else _boxes
    try:
        return read(arrays)
    except (KeyError, IndexError, ValueError) as error:
        raise RunError(f"{file}: {error}; run the experiment again") from None


def _classes(arrays: Mapping[str, NDArray[Any]]) -> Predictions:
    split, patient_id = arrays["split"].astype(str), arrays["patient_id"].astype(str)
    truth, probability = arrays["y_true"].astype(bool), arrays["y_prob"].astype(np.float64)
    _one_length(split, patient_id, truth, probability)
    _finite(probability)
    return Predictions(split, patient_id, truth, probability)


def _boxes(arrays: Mapping[str, NDArray[Any]]) -> BoxPredictions:
    split, patient_id = arrays["split"].astype(str), arrays["patient_id"].astype(str)
    truth, found = (
        arrays[n].astype(np.float64).reshape(-1, 4) for n in ("boxes_true", "boxes_pred")
    )
    _one_length(split, patient_id, truth, found)
    _finite(found)
    return BoxPredictions(split, patient_id, truth, found)


def _detections(arrays: Mapping[str, NDArray[Any]]) -> Detections:
    patient_id, film = arrays["patient_id"].astype(str), arrays["film_index"]
    truth, found = (arrays[n].astype(np.float64).reshape(-1, 4) for n in ("boxes_true", "boxes"))
    scores, classes = arrays["scores"].astype(np.float64), arrays["classes"].astype(np.int64)
    _one_length(film, found, scores, classes)
    _one_length(arrays["true_film_index"], truth)
    _finite(found)
    films = range(len(patient_id))
    return Detections(
        patient_id,
        tuple(truth[arrays["true_film_index"] == k] for k in films),
        tuple(found[film == k] for k in films),
        tuple(scores[film == k] for k in films),
        tuple(classes[film == k] for k in films),
    )


def _one_length(*arrays: NDArray[Any]) -> None:
    if len({len(each) for each in arrays}) != 1:
        raise ValueError("its arrays are not of one length")


def _finite(values: Floats) -> None:
    if not np.isfinite(values).all():
        raise ValueError("holds predictions that are no numbers, so the network diverged")
