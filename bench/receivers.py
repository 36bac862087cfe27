"""Receivers of films that benchmarks compare: Hilum's listener and those beside it."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from tests.peers import (
    ROOT,
    ChildProcess,
    echoscu,
    free_port,
    hilum_process,
    orthanc,
    require,
    running,
    wait_until,
)
from tests.peers.process import LOOPBACK

CALLED = "HILUM"
_DCMTK_BEST = ("--fork", "--bit-preserving", "-pdu", "131072")


@dataclass(frozen=True, slots=True)
class Receiver:
    """A running receiver."""

    port: int
    process: ChildProcess

    def memory(self) -> int:
        """Return the bytes of memory that its processes take; what they share counts once."""
        total = 0
        for process in [psutil.Process(self.process.pid), *self.process.children()]:
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.memory_full_info().pss
        return total


@dataclass(frozen=True, slots=True)
class Kind:
    """A receiver that can be started in a folder.

    Args:
        name: what tables call it.
        durable: what it promises with Success.
        start: starts it in a folder.
        side_by_side: whether it serves associations at the same time.
    """

    name: str
    durable: str
    start: Callable[[Path], AbstractContextManager[Receiver]]
    side_by_side: bool = True


@contextmanager
def hilum(folder: Path, *, processes: int = 1, **settings: str) -> Iterator[Receiver]:
    """Run `hilum listen`; nothing reads what it takes in."""
    port = free_port()
    env = {
        "HILUM_DATA_DIR": str(folder / "data"),
        "HILUM_LISTENER__HOST": LOOPBACK,
        "HILUM_LISTENER__PORT": str(port),
        "HILUM_LISTENER__PROCESSES": str(processes),
        "HILUM_LISTENER__MAX_ASSOCIATIONS_PER_ADDRESS": "50",
        **settings,
    }
    with hilum_process(["listen"], env, folder=folder) as process:
        yield _ready(port, process)


@contextmanager
def _storescp(folder: Path, options: Sequence[str]) -> Iterator[Receiver]:
    (program,) = require("storescp")
    port, received = free_port(), folder / "received"
    received.mkdir()
    command = [program, "+xa", *options, "-aet", CALLED, "-od", str(received), str(port)]
    with running(_child(command, folder)) as process:
        yield _ready(port, process)


@contextmanager
def _orthanc(folder: Path) -> Iterator[Receiver]:
    with orthanc(folder, ae_title=CALLED, options=()) as server:
        yield _ready(server.port, server.process)


@contextmanager
def _pynetdicom(folder: Path) -> Iterator[Receiver]:
    port, received = free_port(), folder / "received"
    received.mkdir()
    command = [sys.executable, "-m", "pynetdicom", "storescp", "-q", "-aet", CALLED]
    with running(_child([*command, "-od", str(received), str(port)], folder)) as process:
        yield _ready(port, process)


@contextmanager
def _answering(folder: Path) -> Iterator[Receiver]:
    port = free_port()
    command = [sys.executable, "-m", "bench.answering", str(port)]
    process = ChildProcess(command, log=folder / "log", cwd=ROOT, clean_exits=(0, -15))
    with running(process):
        wait_until(lambda: _connects(port), "a connection", seconds=60, process=process)
        yield Receiver(port, process)


def _connects(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex((LOOPBACK, port)) == 0


def _ready(port: int, process: ChildProcess) -> Receiver:
    wait_until(lambda: echoscu(port, called=CALLED), "an echo", seconds=60, process=process)
    return Receiver(port, process)


def _child(command: list[str], folder: Path) -> ChildProcess:
    return ChildProcess(command, log=folder / "log", cwd=folder, clean_exits=(0, -15))


def sender_alone() -> Kind:
    """Return what answers every film at once and keeps none: what the sender itself can do."""
    return Kind("nobody (the sender)", "no", _answering)


def version(program: str) -> str:
    """Return what a program says of its version, in one line."""
    (path,) = require(program)
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    return (said.stdout or said.stderr).splitlines()[0].strip("$ \n")


def kinds(processes: Sequence[int]) -> list[Kind]:
    """Return all receivers; Hilum with each of these numbers of processes."""
    ours = [
        Kind(f"Hilum, {count} process{'es' * (count > 1)}", "yes", partial(hilum, processes=count))
        for count in processes
    ]
    return [
        Kind("DCMTK storescp", "no", partial(_storescp, options=()), side_by_side=False),
        Kind("DCMTK storescp --fork +B", "no", partial(_storescp, options=_DCMTK_BEST)),
        Kind("Orthanc", "yes", _orthanc),
        Kind("pynetdicom storescp", "no", _pynetdicom),
        *ours,
    ]
