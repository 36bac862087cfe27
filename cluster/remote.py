"""What runs on a node of the cluster for every worker: the keeper of one ordinary `hilum work`."""

from __future__ import annotations

import math
import os
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cluster.shared import problem_here
from cluster.travelling import Travelling
from scp_service.supervise import supervise
from settings import CONFIG_VARIABLE

_HOME = str(Path(__file__).resolve().parent.parent)
"""Where the same Hilum is that runs here."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a worker was placed; `problem` says in one sentence why it cannot work there."""

    machine: str
    problem: str | None


class RemoteWorker:
    """Runs `hilum work` as a child process until told to stop, and starts it again where it dies.

    The process is the one that runs everywhere: leases, limits and checks are its own. It ends with
    this one, however that ends.

    Args:
        travelling: the configuration.
        mark: a file that shows that this machine has the data folder.
        cpus: how many of the machine's are the worker's.
    """

    def __init__(self, travelling: Travelling, mark: Path, cpus: float) -> None:
        self._travelling = travelling
        self._mark = mark
        self._cpus = cpus
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> Place:
        """Start the worker, unless it cannot work here."""
        problem = problem_here(self._mark)
        if problem is None and self._thread is None:
            # The child ends with the thread that started it, so that is one that stays.
            self._thread = threading.Thread(target=self._supervise, name="worker")
            self._thread.start()
        return Place(socket.gethostname(), problem)

    def run(self) -> None:
        """Return once the worker has ended."""
        if self._thread is not None:
            self._thread.join()

    def stop(self) -> None:
        """Have the worker give back what it has not done, and end."""
        self._stop.set()

    def _supervise(self) -> None:
        # Held in memory: secrets are written to no disk, and are gone with this process.
        memory = os.memfd_create("hilum.toml")
        try:
            os.write(memory, self._travelling.file.encode())
            file = f"/proc/{os.getpid()}/fd/{memory}"
            supervise(["work"], environment(self._travelling, file, self._cpus), self._stop)
        finally:
            os.close(memory)


def environment(travelling: Travelling, file: str, cpus: float) -> Mapping[str, str]:
    """Return the environment of a worker that has `cpus` of its machine, configured by `file`.

    It tells no metrics: several would want one port.
    """
    share = str(math.ceil(cpus))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HILUM_")}
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(filter(None, (_HOME, os.environ.get("PYTHONPATH")))),
        "HILUM_WORKER__THREADS": share,
        "HILUM_WORKER__DECODE_PROCESSES": share,
        **travelling.variables,
        "HILUM_METRICS__ENABLED": "false",
        CONFIG_VARIABLE: file,
    }
