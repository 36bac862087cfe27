"""What the parts of a run hand to each other: the experiment, its folder, its record."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from training.experiments import record
from training.experiments.overrides import Overrides
from training.experiments.progress import Watch
from training.experiments.record import Record
from training.experiments.spec import Spec
from training.experiments.weights import Start


@dataclass(frozen=True, slots=True)
class Job:
    """A run under way.

    `spec` has the overrides in it already. `home` is the run's folder, `cache` that of decoded
    films, `kept` what `run.json` will hold; `began` is when it began, on the clock
    `time.monotonic`, less what a run that it goes on from had taken.
    """

    spec: Spec
    overrides: Overrides
    home: Path
    cache: Path
    kept: Record
    watch: Watch
    began: float
    mlflow: bool = False

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a part of the run."""
        began = time.monotonic()
        yield
        self.kept.timings[name] = round(time.monotonic() - began, 3)

    def note_start(self, started: Start) -> None:
        """Record what the network started from."""
        self.kept.weights = {"wanted": self.spec.network.weights, "used": started.used}
        if started.file is not None:
            self.kept.weights["file"] = started.file.name
        if started.remark is not None and started.remark not in self.kept.remarks:
            self.kept.remarks.append(started.remark)

    def keep(self, history: record.History) -> None:
        """Write how far training is."""
        self.kept.epochs_done = len(history)
        self.kept.seconds = round(time.monotonic() - self.began, 3)
        record.write_history(self.home, history)
        self.kept.write(self.home)
