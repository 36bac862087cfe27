"""The same attacks on Hilum, pynetdicom's storescp, Orthanc and DCMTK's storescp, side by side.

    python -m bench.attacks [--only NAME]

Each runs afresh for every attack. While an attack lasts (two seconds at least), three C-ECHOs are
timed, each over an association of its own, and threads, CPU and memory are taken (DCMTK's with its
children). Afterwards it is timed how long it takes until an echo is answered within a second and
the threads are back. Prints Markdown; the record is kept in runs/.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import struct
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from bench.common import keep, machine, table
from tests.peers import (
    ChildProcess,
    ProcessFailedError,
    free_port,
    hilum_process,
    orthanc,
    require,
    running,
    wait_until,
    wire,
)
from tests.peers.process import LOOPBACK
from tests.peers.wire import Wire

ECHOES = 3
LEAST_SECONDS = 2.0
PATIENCE_SECONDS = 5.0
RECOVERY_SECONDS = 40.0
CALLED = "HILUM"
_LOOK_SECONDS = 0.1
_MEGABYTE = 1_000_000
_DEFLATED = ((wire.VERIFICATION, wire.IMPLICIT), (wire.CR_STORAGE, wire.DEFLATED))


@dataclass(frozen=True, slots=True)
class Suffered:
    """What an attack did: seconds (None: never), counts, per cent of a core, megabytes."""

    attack: str
    who: str
    echo: float | None
    threads: int
    base_threads: int
    cpu: float
    memory: float
    recovery: float | None


# Those attacked ------------------------------------------------------------------------------


@contextmanager
def _hilum(folder: Path) -> Iterator[tuple[ChildProcess, int]]:
    port = free_port()
    env = {
        "HILUM_DATA_DIR": str(folder / "data"),
        "HILUM_LISTENER__HOST": LOOPBACK,
        "HILUM_LISTENER__PORT": str(port),
    }
    with hilum_process(["listen"], env, folder=folder) as process:
        yield process, port


@contextmanager
def _pynetdicom(folder: Path) -> Iterator[tuple[ChildProcess, int]]:
    port = free_port()
    (folder / "received").mkdir()
    command = [sys.executable, "-m", "pynetdicom", "storescp", "-q", "-aet", CALLED]
    command += ["-od", str(folder / "received"), str(port)]
    with running(_child(command, folder)) as process:
        yield process, port


@contextmanager
def _orthanc(folder: Path) -> Iterator[tuple[ChildProcess, int]]:
    with orthanc(folder, ae_title=CALLED) as server:
        yield server.process, server.port


@contextmanager
def _dcmtk(folder: Path) -> Iterator[tuple[ChildProcess, int]]:
    (program,) = require("storescp")
    port = free_port()
    (folder / "received").mkdir()
    command = [program, "--fork", "+xa", "-aet", CALLED, "-od", str(folder / "received")]
    with running(_child([*command, str(port)], folder)) as process:
        yield process, port


def _child(command: list[str], folder: Path) -> ChildProcess:
    return ChildProcess(command, log=folder / "log", cwd=folder, clean_exits=(0, -15))


ATTACKED: dict[str, Callable[[Path], AbstractContextManager[tuple[ChildProcess, int]]]] = {
    "Hilum": _hilum,
    "pynetdicom storescp": _pynetdicom,
    "Orthanc": _orthanc,
    "DCMTK storescp --fork": _dcmtk,
}


# Attacks: each begins, lasts until the end of the block, and is over then -----------------------


@contextmanager
def _nothing(_port: int) -> Iterator[None]:
    yield


@contextmanager
def _idle(port: int) -> Iterator[None]:
    with _connections(port, 200):
        yield


@contextmanager
def _one_byte(port: int) -> Iterator[None]:
    with _connections(port, 50) as connections:
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.send(b"\x01")
        yield


@contextmanager
def _scan(port: int) -> Iterator[None]:
    with contextlib.suppress(TimeoutError):
        for _ in range(200):
            _connected(port).close()
    yield


@contextmanager
def _giant(port: int) -> Iterator[None]:
    def announce_4_gigabytes() -> None:
        with _connected(port) as attacker:
            attacker.sendall(struct.pack(">BxL", wire.ASSOCIATE_RQ, 0xFFFFFFFF))
            for _ in range(400):
                attacker.sendall(bytes(_MEGABYTE))
            attacker.recv(1)

    with _beside(announce_4_gigabytes):
        yield


@contextmanager
def _unanswered(port: int) -> Iterator[None]:
    def send_without_waiting() -> None:
        with Wire(port, seconds=PATIENCE_SECONDS) as attacker:
            attacker.ask(wire.associate_rq(CALLED))
            for number in range(400):
                attacker.send(wire.store_rq(f"1.2.3.{number + 1}", number))
                for last in (False, False, False, True):
                    part = wire.fragment(3, bytes(_MEGABYTE // 4), command=False, last=last)
                    attacker.send(part)

    with _beside(send_without_waiting):
        yield


@contextmanager
def _bomb(port: int) -> Iterator[None]:
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    # One private element of explicit VR with a gigabyte of zeros.
    head = struct.pack("<HH2sHL", 0x0009, 0x1001, b"OB", 0, 1_000_000_000)
    bomb = packer.compress(head)
    for _ in range(1000):
        bomb += packer.compress(bytes(_MEGABYTE))
    bomb += packer.flush()

    def send_it() -> None:
        with Wire(port, seconds=60) as attacker:
            attacker.ask(wire.associate_rq(CALLED, contexts=_DEFLATED))
            attacker.send(wire.store_rq("1.2.3.4"))
            for start in range(0, len(bomb), 10_000):
                last = start + 10_000 >= len(bomb)
                part = bomb[start : start + 10_000]
                attacker.send(wire.fragment(3, part, command=False, last=last))
            attacker.read()

    with _beside(send_it):
        yield


ATTACKS: dict[str, Callable[[int], AbstractContextManager[None]]] = {
    "none": _nothing,
    "200 idle connections": _idle,
    "200 connect and close": _scan,
    "50 connections of one byte": _one_byte,
    "a PDU of 4 GB": _giant,
    "400 C-STOREs of 1 MB, no answer awaited": _unanswered,
    "a deflated bomb of 1 GB": _bomb,
}


def _connected(port: int) -> socket.socket:
    return socket.create_connection((LOOPBACK, port), timeout=2)  # one lost SYN


@contextmanager
def _connections(port: int, count: int) -> Iterator[list[socket.socket]]:
    """Hold so many connections, or fewer where no more are let in."""
    made: list[socket.socket] = []
    with ExitStack() as stack:
        with contextlib.suppress(TimeoutError):
            for _ in range(count):
                made.append(stack.enter_context(_connected(port)))
        yield made


@contextmanager
def _beside(work: Callable[[], None]) -> Iterator[None]:
    """Attack in a thread; the end of the block waits for it. Whatever the peer does is right."""

    def attack() -> None:
        with contextlib.suppress(OSError, struct.error):
            work()

    thread = threading.Thread(target=attack)
    thread.start()
    try:
        yield
    finally:
        thread.join()


# Measuring -----------------------------------------------------------------------------------


def _echo(port: int) -> float | None:
    """Return how long a C-ECHO takes with its association; None where there is no answer."""
    begin = time.monotonic()
    try:
        with Wire(port, seconds=PATIENCE_SECONDS) as sender:
            if sender.ask(wire.associate_rq(CALLED))[0] != wire.ASSOCIATE_AC:
                return None
            sender.send(wire.echo_rq())
            sender.status()
            sender.send(wire.release_rq())
            sender.read()
    except (OSError, ValueError):
        return None
    return time.monotonic() - begin


class _Watch:
    """Takes threads, CPU and memory of a process and its children, from time to time."""

    def __init__(self, process: ChildProcess) -> None:
        self._process = psutil.Process(process.pid)
        self.threads, self.memory, self._begun = 0, 0, 0.0
        self._cpu: dict[int, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> _Watch:
        self._begun = time.monotonic()
        self._before = self._look()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._look()

    @property
    def cpu(self) -> float:
        """Per cent of one core, since the beginning."""
        return 100 * (sum(self._cpu.values()) - self._before) / (time.monotonic() - self._begun)

    def _run(self) -> None:
        while not self._stop.wait(_LOOK_SECONDS):
            self._look()

    def _look(self) -> float:
        threads = memory = 0
        for process in [self._process, *self._process.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess), process.oneshot():
                times = process.cpu_times()
                self._cpu[process.pid] = times.user + times.system
                threads += process.num_threads()
                memory += process.memory_full_info().uss
        self.threads, self.memory = max(self.threads, threads), max(self.memory, memory)
        return sum(self._cpu.values())


def suffer(who: str, attack: str, folder: Path) -> Suffered:
    """Start one of those attacked, attack it, and say what that did to it."""
    folder.mkdir(parents=True)
    with ATTACKED[who](folder) as (process, port):
        wait_until(lambda: _echo(port), "an echo", seconds=60, process=process)
        with _Watch(process) as quiet:
            time.sleep(1.5)
        with _Watch(process) as watch:
            with ATTACKS[attack](port):
                begun = time.monotonic()
                echoes = [_echo(port) for _ in range(ECHOES)]
                time.sleep(max(0.0, begun + LEAST_SECONDS - time.monotonic()))
            over = time.monotonic()
        recovery = _recovery(process, port, quiet.threads, over)
        process.expected_to_end = True
        process.kill_all()  # some would not end by themselves any more
    longest = None if None in echoes else max(echo or 0.0 for echo in echoes)
    grown = (watch.memory - quiet.memory) / _MEGABYTE
    return Suffered(attack, who, longest, watch.threads, quiet.threads, watch.cpu, grown, recovery)


def _recovery(process: ChildProcess, port: int, threads: int, since: float) -> float | None:
    def recovered() -> bool:
        echo = _echo(port)
        return echo is not None and echo <= 1 and _threads(process) <= threads + 2

    try:
        wait_until(recovered, "recovery", seconds=RECOVERY_SECONDS, process=process)
    except ProcessFailedError:
        return None
    return time.monotonic() - since


def _threads(process: ChildProcess) -> int:
    own = psutil.Process(process.pid)
    return own.num_threads() + len(own.children())


def _row(suffered: Suffered) -> list[str]:
    return [
        suffered.attack,
        suffered.who,
        f"{suffered.echo:.2f}" if suffered.echo is not None else "**none**",
        f"{suffered.base_threads} → {suffered.threads}",
        f"{suffered.cpu:.0f}",
        f"{max(0.0, suffered.memory):.0f}",
        f"{suffered.recovery:.1f}" if suffered.recovery is not None else "**not in 40**",
    ]


def main() -> None:
    """Attack each in turn and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.attacks", description=__doc__)
    parser.add_argument("--only", help="attacks whose name holds this", default="")
    options = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for number, attack in enumerate(name for name in ATTACKS if options.only in name):
            for who in ATTACKED:
                place = Path(folder) / f"{number}-{who.split()[0]}"
                found.append(suffer(who, attack, place))
                print(" | ".join(_row(found[-1])), file=sys.stderr, flush=True)
    header = [
        "attack",
        "on",
        "longest echo, s",
        "threads",
        "CPU, %",
        "memory, +MB",
        "well again, s",
    ]
    print(table(header, map(_row, found)))
    record = {"machine": machine(), "suffered": [asdict(each) for each in found]}
    print(f"\nRecord: {keep('attacks', record)}")


if __name__ == "__main__":
    main()
