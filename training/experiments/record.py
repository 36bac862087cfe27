"""What a run leaves behind: `run.json`, `history.csv`, `predictions.npz`; written whole or not."""

from __future__ import annotations

import csv
import importlib.metadata
import json
import platform
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

RECORD = "run.json"
HISTORY = "history.csv"
PREDICTIONS = "predictions.npz"
WEIGHTS = "weights.weights.h5"
CHECKPOINT = "checkpoint"
TENSORBOARD = "tensorboard"
ERROR = "error.txt"
REPLACED = ".replaced"
"""Folder beside the runs that finished runs go to when their experiment is run otherwise."""

_PACKAGES = ("hilum", "tensorflow", "keras", "numpy", "pydicom", "opencv-python-headless")

History = list[dict[str, float]]
"""One row an epoch: `epoch` from 1, then what Keras measured."""


class Status(StrEnum):
    """Where a run is."""

    RUNNING = "running"
    """Under way, or killed: it goes on where its last checkpoint is."""
    DONE = "done"
    FAILED = "failed"


@dataclass(slots=True)
class Record:
    """What `run.json` holds.

    `identity` tells whether another call means this very run: same settings, same films. `settings`
    is the experiment as it was run, `overrides` what a person changed in it, `remarks` what else
    is not as the experiment's file says. `timings` are seconds by stage.
    """

    experiment: str
    table: str
    row: str
    model: str
    identity: str
    settings: Mapping[str, Any]
    reported: Mapping[str, Any]
    overrides: Mapping[str, Any]
    seed: int
    status: Status = Status.RUNNING
    reason: str | None = None
    remarks: list[str] = field(default_factory=list)
    films: dict[str, int] = field(default_factory=lambda: {"train": 0, "val": 0, "test": 0})
    epochs_done: int = 0
    parameters: dict[str, int] = field(
        default_factory=lambda: {"total": 0, "trainable": 0, "fixed": 0}
    )
    weights: dict[str, str] = field(default_factory=dict)
    constant_box: dict[str, Any] | None = None
    devices: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    started: str = ""
    ended: str | None = None
    seconds: float = 0.0
    timings: dict[str, float] = field(default_factory=dict)

    def write(self, home: Path) -> None:
        """Write `run.json` into the run's folder."""
        home.mkdir(parents=True, exist_ok=True)
        rewrite(home, asdict(self))


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. `skipped`: it had been done before, with the same settings and films."""

    experiment: str
    status: Status
    reason: str | None
    home: Path
    seconds: float
    remarks: tuple[str, ...] = ()
    skipped: bool = False


def read(home: Path) -> dict[str, Any] | None:
    """Return what a run's `run.json` says; None where there is none that can be read."""
    try:
        found = json.loads((home / RECORD).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
        return None
    return found if isinstance(found, dict) else None


def rewrite(home: Path, values: Mapping[str, Any]) -> None:
    """Write `run.json` anew."""
    text = json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False)
    part = home / f".{RECORD}.part"
    part.write_text(text + "\n", encoding="utf-8")
    part.replace(home / RECORD)


def now() -> str:
    """The time, as records have it: UTC, ISO 8601, in seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result depends on."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def write_history(home: Path, history: History) -> None:
    """Write `history.csv`: a column for each measure, a row for each epoch."""
    part = home / f".{HISTORY}.part"
    with part.open("w", encoding="utf-8", newline="") as stream:
        names = list(history[0]) if history else ["epoch"]
        writer = csv.DictWriter(stream, names)
        writer.writeheader()
        writer.writerows(history)
    part.replace(home / HISTORY)


def write_predictions(home: Path, arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """Write `predictions.npz`."""
    part = home / f".{PREDICTIONS}.part.npz"
    np.savez_compressed(part, **arrays)  # type: ignore[arg-type]  # the stub sees allow_pickle
    part.replace(home / PREDICTIONS)


def clear(home: Path, before: Mapping[str, Any] | None) -> None:
    """Make way for a run: what was finished is moved beside the runs, anything else deleted."""
    if before is not None and before.get("status") == Status.DONE:
        stamp = str(before.get("ended") or now()).replace(":", "")
        kept = home.parent / REPLACED / f"{home.name}-{stamp}"
        number = 1
        while kept.exists():
            number += 1
            kept = kept.with_name(f"{home.name}-{stamp}-{number}")
        kept.parent.mkdir(parents=True, exist_ok=True)
        home.rename(kept)
    elif home.exists():
        shutil.rmtree(home)
