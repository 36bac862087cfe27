"""Experiments made up for tests, small and few."""

from __future__ import annotations

from typing import Any

from training.experiments.spec import Spec

DATA = {"films": 6000, "size": 128, "source": "dicom", "colour": "stacked"}
TRAIN = {
    "epochs": 10,
    "batch": 32,
    "optimizer": "adam",
    "learning_rate": 0.001,
    "loss": "binary_crossentropy",
}


def spec(name: str, **changes: Any) -> Spec:
    """A row of the base table, or of what `changes` say."""
    values: dict[str, Any] = {
        "id": name,
        "table": "base",
        "row": "base run",
        "model": "model",
        "note": "Made up.",
        "data": DATA,
        "train": TRAIN,
    }
    return Spec.model_validate(values | changes)


def box_spec(name: str, **changes: Any) -> Spec:
    """A row of the boxes table."""
    train = TRAIN | {"loss": "mean_squared_error"}
    return spec(name, **{"table": "boxes", "model": "mobilenet", "train": train} | changes)
