"""Experiments are run in processes of their own: memory goes with them, a crash ends one alone.

TensorFlow keeps some memory of every network that it trained until its process ends.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

from training.experiments import record
from training.experiments.overrides import Overrides
from training.experiments.progress import Progress
from training.experiments.record import Outcome, Status
from training.experiments.spec import Spec

Watch = Callable[[Spec, Progress], None]

LOGS = ".logs"
"""Folder beside the runs for what their processes print."""


def run_apart(
    specs: Sequence[Spec],
    folder: Path,
    runs: Path,
    overrides: Overrides | None = None,
    *,
    watch: Watch = lambda _spec, _step: None,
    mlflow: bool = False,
) -> Iterator[Outcome]:
    """Run experiments one after the other as `run.run` does, each in a new process.

    Those that were done before share one. Where a process is killed, by the system for want of
    memory say, the record of its experiment says so, and the next one begins.
    """
    remaining = list(specs)
    context = multiprocessing.get_context("spawn")
    while remaining:
        receiver, sender = context.Pipe(duplex=False)
        arguments = (sender, list(remaining), folder, runs, overrides or Overrides(), mlflow)
        child = context.Process(target=_child, args=arguments, daemon=True)
        child.start()
        sender.close()
        finished, ran = 0, False
        try:
            for message in _messages(receiver):
                if isinstance(message, Outcome):
                    finished, ran = finished + 1, not message.skipped
                    yield message
                else:
                    watch(remaining[finished], message)
            child.join()
        finally:
            receiver.close()
            if child.is_alive():
                child.terminate()
                child.join()
        if not ran and finished < len(remaining):
            spec = remaining[finished]
            yield _died(spec, runs / spec.id, child.exitcode or 0)
            finished += 1
        del remaining[:finished]


def _messages(receiver: Connection) -> Iterator[Outcome | Progress]:
    """Yield what the process tells until it ends."""
    while True:
        try:
            yield receiver.recv()
        except EOFError:
            return


def _child(
    sender: Connection,
    specs: Sequence[Spec],
    folder: Path,
    runs: Path,
    overrides: Overrides,
    mlflow: bool,
) -> None:
    """Run the first of the experiments that is not done yet."""

    def tell(step: Progress) -> None:
        try:
            sender.send(step)
        except BrokenPipeError:  # who asked for the run is gone
            raise KeyboardInterrupt from None

    # Ended by a person or left alone: what is there goes on next time.
    with suppress(KeyboardInterrupt, BrokenPipeError):
        for spec in specs:
            _redirect(log_file(runs, spec))
            from training.experiments.run import run  # loads TensorFlow, which is not quiet

            outcome = run(spec, folder, runs, overrides, watch=tell, mlflow=mlflow)
            sender.send(outcome)
            if not outcome.skipped:
                return


def log_file(runs: Path, spec: Spec) -> Path:
    """Where what TensorFlow and Keras print while an experiment runs is kept."""
    return runs / LOGS / f"{spec.id}.txt"


def _redirect(file: Path) -> None:
    """Let this process print to a file, its libraries in C++ included."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as stream:
        for descriptor in (1, 2):
            os.dup2(stream.fileno(), descriptor)


def _died(spec: Spec, home: Path, code: int) -> Outcome:
    if code < 0:
        name = signal.Signals(-code).name
        reason = f"its process was ended by {name}: there may not have been enough memory"
    else:
        reason = f"its process ended with code {code}: see {LOGS}/{spec.id}.txt beside it"
    found = record.read(home)
    if found is not None and found.get("status") == Status.RUNNING:
        record.rewrite(home, found | {"status": Status.FAILED, "reason": reason})
    return Outcome(spec.id, Status.FAILED, reason, home, 0.0)
