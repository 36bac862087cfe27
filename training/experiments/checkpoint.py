"""After each epoch everything that training depends on is kept, so that a killed run goes on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from training.experiments.record import History

STATE = "state.npz"


def save(folder: Path, model: keras.Model, history: History) -> None:
    """Keep weights, statistics, states of random layers, the optimizer and the epochs so far.

    `model` is compiled. The file has its name only when it is whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {f"v{number}": variable.numpy() for number, variable in enumerate(_variables(model))}
    part = folder / f".{STATE}.part.npz"
    np.savez(part, history=np.array(json.dumps(history)), **arrays)
    part.replace(folder / STATE)


def restore(folder: Path, model: keras.Model) -> History:
    """Bring a compiled model to where it was, and return the epochs so far; none: untouched.

    What was kept must be of the same network, which the run's identity says.
    """
    file = folder / STATE
    if not file.is_file():
        return []
    with np.load(file, allow_pickle=False) as kept:
        for number, variable in enumerate(_variables(model)):
            variable.assign(kept[f"v{number}"])
        history: History = json.loads(str(kept["history"]))
    return history


def remove(folder: Path) -> None:
    """Delete what was kept, once the run is done."""
    (folder / STATE).unlink(missing_ok=True)


def _variables(model: keras.Model) -> Sequence[Any]:
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    return [*model.variables, *model.optimizer.variables]
