"""Run folders as experiments leave them, made up."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SPLITS = (("train", 64), ("val", 16), ("test", 40))


def labelled(
    *, sharpness: float = 1.0, seed: int = 0, splits: tuple[tuple[str, int], ...] = SPLITS
) -> dict[str, NDArray[Any]]:
    """Predictions of a classifier that knows the class up to noise; half the films positive."""
    rng = np.random.default_rng(seed)
    split = np.concatenate([[name] * count for name, count in splits])
    truth = np.arange(len(split)) % 2
    logit = rng.normal(size=len(split)) + sharpness * (2 * truth - 1)
    return {
        "split": split,
        "patient_id": np.array([f"film-{k:03d}" for k in range(len(split))]),
        "y_true": truth,
        "y_prob": 1 / (1 + np.exp(-logit)),
    }


def boxed(
    *, noise: float = 40.0, seed: int = 0, splits: tuple[tuple[str, int], ...] = SPLITS
) -> dict[str, NDArray[Any]]:
    """Predictions of a regressor: the true box and noise."""
    rng = np.random.default_rng(seed)
    split = np.concatenate([[name] * count for name, count in splits])
    side = np.where(rng.random(len(split)) < 0.5, 200.0, 600.0)
    truth = np.stack(
        [side, np.full_like(side, 350), np.full_like(side, 217), np.full_like(side, 298)], 1
    )
    truth += rng.normal(0, 30, truth.shape)
    return {
        "split": split,
        "patient_id": np.array([f"film-{k:03d}" for k in range(len(split))]),
        "boxes_true": truth,
        "boxes_pred": truth + rng.normal(0, noise, truth.shape),
    }


def detected() -> dict[str, NDArray[Any]]:
    """What a detector found on three films: two boxes true and three found, nothing, one wrong."""
    return {
        "split": np.array(["test"] * 3),
        "patient_id": np.array(["film-000", "film-001", "film-002"]),
        "film_index": np.array([0, 0, 0, 2]),
        "boxes": np.array(
            [[100, 100, 100, 100], [500, 100, 100, 50], [0, 0, 9, 9], [7, 7, 50, 50]], float
        ),
        "scores": np.array([0.9, 0.6, 0.1, 0.7]),
        "classes": np.array([1, 1, 3, 32]),
        "true_film_index": np.array([0, 0]),
        "boxes_true": np.array([[100, 100, 100, 100], [500, 100, 100, 100]], float),
    }


def run_folder(
    runs: Path,
    experiment: str,
    arrays: dict[str, NDArray[Any]] | None,
    *,
    status: str = "done",
    reason: str | None = None,
    epochs: int = 3,
    history: dict[str, list[float]] | None = None,
    **more: Any,
) -> Path:
    """Write `runs/experiment/` as the contract has it; `more` goes into run.json."""
    folder = runs / experiment
    folder.mkdir(parents=True)
    split = arrays["split"].tolist() if arrays is not None else []
    record = {
        "experiment": experiment,
        "table": "base",
        "row": "base",
        "model": "model",
        "status": status,
        "reason": reason,
        "seed": 0,
        "films": {name: split.count(name) for name in ("train", "val", "test")},
        "epochs_done": epochs,
        "parameters": {"total": 100, "trainable": 90, "fixed": 10},
        "reported": {},
        "versions": {"keras": "3"},
        "started": "2024-01-01T00:00:00+00:00",
        "ended": "2024-01-01T00:01:00+00:00",
        "seconds": 60.0,
        "settings": {},
        **more,
    }
    (folder / "run.json").write_text(json.dumps(record))
    columns = history or {
        "epoch": [float(k) for k in range(1, epochs + 1)],
        "loss": [0.7 - 0.1 * k for k in range(epochs)],
        "accuracy": [0.5 + 0.1 * k for k in range(epochs)],
        "val_loss": [0.7 - 0.05 * k for k in range(epochs)],
        "val_accuracy": [0.5 + 0.05 * k for k in range(epochs)],
    }
    with (folder / "history.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    if arrays is not None:
        np.savez(folder / "predictions.npz", **arrays)  # type: ignore[arg-type]  # stub's kwarg
    return folder
