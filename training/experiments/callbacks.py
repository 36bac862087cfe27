"""What happens after batches and epochs: progress, checkpoints, the end of hopeless runs, logs."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras

from training.experiments import checkpoint
from training.experiments.progress import Progress, Watch
from training.experiments.record import History

Logs = Mapping[str, float] | None


class TrainingError(Exception):
    """Training cannot go on; the message says after how many epochs and why."""


def _place(name: str) -> tuple[bool, bool]:
    """Training before validation, the loss before what else is measured."""
    return name.startswith("val_"), not name.endswith("loss")


class Keeper(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Tells each batch, and after each epoch keeps a checkpoint and tells the history so far."""

    def __init__(
        self,
        folder: Path,
        history: History,
        steps: int,
        epochs: int,
        *,
        kept: Callable[[History], None],
        watch: Watch,
    ) -> None:
        super().__init__()
        self._folder, self._history = folder, history
        self._steps, self._epochs = steps, epochs
        self._kept, self._watch = kept, watch

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Tell the batch."""
        loss = (logs or {}).get("loss")
        epoch = len(self._history) + 1
        self._watch(Progress("train", batch + 1, self._steps, epoch, self._epochs, loss))

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Keep the epoch.

        Raises:
            TrainingError: the loss is not a number any more; what would follow is not either.
        """
        measured = {name: float(value) for name, value in (logs or {}).items()}
        row = {"epoch": epoch + 1} | {name: measured[name] for name in sorted(measured, key=_place)}
        self._history.append(row)
        bad = [name for name in ("loss", "val_loss") if not math.isfinite(row.get(name, 0.0))]
        if not bad:
            checkpoint.save(self._folder, self.model, self._history)
        self._kept(self._history)
        if bad:
            raise TrainingError(
                f"the {bad[0]} is {row[bad[0]]} after epoch {epoch + 1}: training has diverged;"
                " a smaller learning rate may help"
            )


class MlflowLog(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Logs a run to MLflow, where `MLFLOW_TRACKING_URI` says; the library is no part of Hilum."""

    def __init__(self, experiment: str, params: Mapping[str, Any]) -> None:
        super().__init__()
        self._mlflow = importlib.import_module("mlflow")
        self._experiment, self._params = experiment, params

    def on_train_begin(self, logs: Logs = None) -> None:
        """Open the run and log its settings."""
        self._mlflow.set_experiment("hilum")
        self._mlflow.start_run(run_name=self._experiment)
        self._mlflow.log_params(dict(self._params))

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Log what the epoch measured."""
        values = {name: float(value) for name, value in (logs or {}).items()}
        self._mlflow.log_metrics(values, step=epoch + 1)

    def on_train_end(self, logs: Logs = None) -> None:
        """Close the run."""
        self._mlflow.end_run()
