"""An experiment is run in a process of its own: its memory goes with it, a crash ends it alone.

TensorFlow keeps some memory of every network that it trained until its process ends.
"""

from __future__ import annotations

import multiprocessing
import signal
from multiprocessing.connection import Connection
from pathlib import Path

from training.experiments import record
from training.experiments.callbacks import Progress, Watch
from training.experiments.overrides import Overrides
from training.experiments.record import Status
from training.experiments.run import Outcome, run
from training.experiments.spec import Spec


def run_apart(
    spec: Spec,
    folder: Path,
    runs: Path,
    overrides: Overrides | None = None,
    *,
    watch: Watch = lambda _: None,
    mlflow: bool = False,
) -> Outcome:
    """Run an experiment as `run.run` does, in a new process.

    Where the process is killed, by the system for want of memory say, the record says so.
    """
    overrides = overrides or Overrides()
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(
        target=_child, args=(sender, spec, folder, runs, overrides, mlflow), daemon=True
    )
    child.start()
    sender.close()
    try:
        outcome = _listen(receiver, watch)
        child.join()
    finally:
        receiver.close()
        if child.is_alive():
            child.terminate()
            child.join()
    if outcome is not None:
        return outcome
    return _died(spec, runs / spec.id, child.exitcode or 0)


def _listen(receiver: Connection, watch: Watch) -> Outcome | None:
    """Pass progress on until the process ends; return how the run ended, if it came to that."""
    outcome = None
    while True:
        try:
            message = receiver.recv()
        except EOFError:
            return outcome
        if isinstance(message, Progress):
            watch(message)
        else:
            outcome = message


def _child(
    sender: Connection, spec: Spec, folder: Path, runs: Path, overrides: Overrides, mlflow: bool
) -> None:
    import tensorflow as tf

    # It warns of networks that are traced anew, which says nothing here.
    tf.get_logger().setLevel("ERROR")
    try:
        outcome = run(spec, folder, runs, overrides, watch=sender.send, mlflow=mlflow)
    except KeyboardInterrupt:
        return  # the person ended it; what is there goes on next time
    sender.send(outcome)


def _died(spec: Spec, home: Path, code: int) -> Outcome:
    if code < 0:
        name = signal.Signals(-code).name
        reason = f"its process was ended by {name}: there may not have been enough memory"
    else:
        reason = f"its process ended with code {code} before it could say why"
    found = record.read(home)
    if found is not None and found.get("status") == Status.RUNNING:
        record.rewrite(home, found | {"status": Status.FAILED, "reason": reason})
    return Outcome(spec.id, Status.FAILED, reason, home, 0.0)
