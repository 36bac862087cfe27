"""One experiment is run into one folder; a run that was killed goes on and ends as it would have.

What is done in a run is the business of `train` and `detect`.
"""

from __future__ import annotations

import hashlib
import json
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import tensorflow as tf

from inference.reading import RefusedError
from training.experiments import record
from training.experiments.build import smallest_size
from training.experiments.callbacks import TrainingError
from training.experiments.decoded import fingerprint
from training.experiments.detect import detect
from training.experiments.job import Job
from training.experiments.networks import SizeError
from training.experiments.overrides import Overrides, apply
from training.experiments.progress import Watch
from training.experiments.record import Outcome, Record, Status
from training.experiments.selection import DataError
from training.experiments.spec import Spec, SpecError
from training.experiments.train import train_network
from training.experiments.weights import WeightsError
from training.kaggle.folder import open_folder
from training.tables import Film, TableError

FILMS = ".films"
"""Folder beside the runs where decoded films are kept."""

_CLEAR = (SpecError, DataError, TableError, WeightsError, TrainingError, SizeError, RefusedError)
"""Errors whose message is one sentence that says what to do."""


def run(
    spec: Spec,
    folder: Path,
    runs: Path,
    overrides: Overrides | None = None,
    *,
    watch: Watch = lambda _: None,
    mlflow: bool = False,
    devices: Sequence[str] | None = None,
) -> Outcome:
    """Run an experiment into `runs/ID`; see `record` for what is there afterwards.

    Whatever goes wrong, the record says so and the call returns. A finished run of the same
    settings and films is not run again; one of others is moved to `runs/.replaced`.

    Args:
        spec: The experiment.
        folder: The Kaggle folder.
        runs: Folder of all runs; decoded films are kept in it, for all experiments together.
        overrides: What is changed for this run.
        watch: Told how far the run is.
        mlflow: Log to MLflow too, which must be installed.
        devices: Devices to train on, as TensorFlow names them; None: all GPUs, else the CPU.
    """
    overrides = overrides or Overrides()
    home, before = runs / spec.id, record.read(runs / spec.id)
    kept = _new_record(spec, overrides)
    began, ours = time.monotonic(), before is None or before.get("status") != Status.DONE
    try:
        spec, kept.remarks = resolve(spec, overrides)
        kept.settings = _settings(spec)
        kaggle = open_folder(folder)
        films = kaggle.films()
        kept.identity = _identity(spec, overrides, films)
        if before is not None and before.get("identity") == kept.identity:
            if not ours:
                seconds = float(before["seconds"])
                return Outcome(spec.id, Status.DONE, None, home, seconds, skipped=True)
            kept.started, began = before["started"], began - float(before["seconds"])
        else:
            record.clear(home, before)
        ours = True
        (home / record.ERROR).unlink(missing_ok=True)
        kept.write(home)
        job = Job(spec, overrides, home, runs / FILMS, kept, watch, began, mlflow)
        if spec.train is None:
            detect(job, films)
        else:
            train_network(job, spec.train, kaggle, films, devices)
        kept.status = Status.DONE
    except Exception as error:
        # Whatever it is: the other experiments go on, and this one's record says what it was.
        kept.status, kept.reason = Status.FAILED, _reason(error)
        if ours:
            home.mkdir(parents=True, exist_ok=True)
            (home / record.ERROR).write_text(traceback.format_exc(), encoding="utf-8")
    kept.ended, kept.seconds = record.now(), round(time.monotonic() - began, 3)
    if ours:
        kept.write(home)
    return Outcome(spec.id, kept.status, kept.reason, home, kept.seconds, tuple(kept.remarks))


def resolve(spec: Spec, overrides: Overrides) -> tuple[Spec, list[str]]:
    """Apply overrides; a size too small for the network becomes its smallest, with a remark.

    Raises:
        SpecError: an override is out of range.
    """
    resolved = apply(spec, overrides)
    smallest = smallest_size(resolved)
    if overrides.size is None or resolved.data.size >= smallest:
        return resolved, []
    remark = f"size {smallest} instead of {overrides.size}: {spec.model} takes no smaller pictures"
    return apply(spec, replace(overrides, size=smallest)), [remark]


def _new_record(spec: Spec, overrides: Overrides) -> Record:
    seed = spec.train.seed if spec.train is not None else 0
    return Record(
        experiment=spec.id,
        table=spec.table,
        row=spec.row,
        model=spec.model,
        identity="",
        settings=_settings(spec),
        reported=spec.reported.model_dump(exclude_none=True),
        overrides=overrides.given(),
        seed=seed if overrides.seed is None else overrides.seed,
        versions=record.versions(),
        started=record.now(),
    )


def _settings(spec: Spec) -> dict[str, Any]:
    return spec.model_copy(update={"variants": {}}).model_dump(mode="json", exclude_none=True)


def _identity(spec: Spec, overrides: Overrides, films: Sequence[Film]) -> str:
    """Tell this run from others: by what is trained how, from which weights, on which films."""
    how = spec.model_dump(mode="json", include={"id", "model", "data", "train", "network"})
    weights = [overrides.weights, overrides.random_if_missing]
    text = json.dumps([how, weights, fingerprint(films)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _reason(error: Exception) -> str:
    if isinstance(error, _CLEAR):
        return str(error)
    if isinstance(error, tf.errors.ResourceExhaustedError | MemoryError):
        return "the memory does not do: take a smaller batch or smaller pictures (--batch, --size)"
    if isinstance(error, OSError):
        return f"{type(error).__name__}: {error.strerror}; {record.ERROR} beside says where"
    first = (str(error).splitlines() or [""])[0][:200]
    return f"{type(error).__name__}: {first} (all of it is in {record.ERROR})"
