"""The same attacks on Hilum, pynetdicom's storescp, Orthanc and DCMTK's storescp, side by side.

    python -m bench.attacks [--only NAME] [--rounds N]

Each runs afresh for every attack, and for every attack one runs after the other. While an attack
lasts (two seconds at least), three C-ECHOs are timed, each over an association of its own, and
threads, CPU and memory are taken (DCMTK's with its children). Afterwards it is timed how long it
takes until an echo is answered within a second and the threads are back. Of several rounds the
median is told. A second table tells what it costs to read a film whose codestream claims to be far
larger than its header. Prints Markdown; the record is kept in runs/.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from bench.attack_kinds import ATTACKS, Seen
from bench.attacked import ATTACKED, Target
from bench.common import keep, machine, median, table
from bench.hidden_size import read_by_all
from scp_service.certificates import Trial, make_trial
from tests.peers import ChildProcess, ProcessFailedError, wait_until
from tests.peers.process import LOOPBACK

ECHOES = 3
LEAST_SECONDS = 2.0
RECOVERY_SECONDS = 40.0
_LOOK_SECONDS = 0.1
_MEGABYTE = 1_000_000
_NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Suffered:
    """What an attack did: seconds (infinite: never), counts, per cent of a core, megabytes."""

    attack: str
    who: str
    echo: float
    threads: int
    base_threads: int
    cpu: float
    memory: float
    recovery: float
    seen: dict[str, int]
    load: float


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


def suffer(who: str, name: str, folder: Path, trial: Trial) -> Suffered:
    """Start one of those attacked, attack it, and say what that did to it."""
    folder.mkdir(parents=True)
    attack = ATTACKS[name]
    seen: Seen = Counter()
    with ATTACKED[who](folder, trial if attack.over_tls else None) as target:
        process = target.process
        wait_until(target.echo, "an echo", seconds=60, process=process)
        with _Watch(process) as quiet:
            time.sleep(1.5)
        with _Watch(process) as watch:
            with attack.begin(target, seen):
                begun = time.monotonic()
                echoes = [target.echo(attack.echo_source) for _ in range(ECHOES)]
                time.sleep(max(0.0, begun + LEAST_SECONDS - time.monotonic()))
            over = time.monotonic()
        recovery = _recovery(target, quiet.threads, over)
        process.expected_to_end = True
        process.kill_all()  # some would not end by themselves any more
    return Suffered(
        name,
        who,
        max(_NEVER if echo is None else echo for echo in echoes),
        watch.threads,
        quiet.threads,
        watch.cpu,
        (watch.memory - quiet.memory) / _MEGABYTE,
        recovery,
        dict(+seen),
        os.getloadavg()[0],
    )


def _recovery(target: Target, threads: int, since: float) -> float:
    def recovered() -> bool:
        echo = target.echo()
        return echo is not None and echo <= 1 and _threads(target.process) <= threads + 2

    try:
        wait_until(recovered, "recovery", seconds=RECOVERY_SECONDS, process=target.process)
    except ProcessFailedError:
        return _NEVER
    return time.monotonic() - since


def _threads(process: ChildProcess) -> int:
    own = psutil.Process(process.pid)
    return own.num_threads() + len(own.children())


def _row(rounds: Sequence[Suffered]) -> list[str]:
    """Return the line of an attack on one of those attacked: the median of its rounds."""
    echo = median(each.echo for each in rounds)
    recovery = median(each.recovery for each in rounds)
    base = median(each.base_threads for each in rounds)
    seen = sum((Counter(each.seen) for each in rounds), Counter[str]())
    return [
        rounds[0].attack,
        rounds[0].who,
        f"{echo:.2f}" if echo < _NEVER else "**none**",
        f"{base:.0f} → {median(each.threads for each in rounds):.0f}",
        f"{median(each.cpu for each in rounds):.0f}",
        f"{max(0.0, median(each.memory for each in rounds)):.0f}",
        f"{recovery:.1f}" if recovery < _NEVER else f"**not in {RECOVERY_SECONDS:.0f}**",
        ", ".join(f"{count / len(rounds):.0f} × {what}" for what, count in sorted(seen.items())),
    ]


def main() -> None:
    """Attack each in turn and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.attacks", description=__doc__)
    parser.add_argument("--only", help="attacks whose name holds this", default="")
    parser.add_argument("--rounds", help="how often (1)", type=int, default=1)
    options = parser.parse_args()
    found: dict[tuple[str, str], list[Suffered]] = {}
    with tempfile.TemporaryDirectory() as folder:
        trial = make_trial(Path(folder) / "trial", [LOOPBACK], days=1, now=datetime.now(UTC))
        for number in range(options.rounds):
            for attack in (name for name in ATTACKS if options.only in name):
                for who in ATTACKED:
                    place = Path(folder) / f"{number}-{list(ATTACKS).index(attack)}" / who
                    suffered = suffer(who, attack, place, trial)
                    found.setdefault((attack, who), []).append(suffered)
                    print(" | ".join(_row([suffered])), file=sys.stderr, flush=True)
        header = ["attack", "on", "longest echo, s", "threads", "CPU, %", "memory, +MB"]
        header += ["well again, s", "came of it"]
        print(table(header, map(_row, found.values())))
        if not options.only:
            print()
            print(read_by_all(Path(folder) / "hidden size"))
    every = [each for rounds in found.values() for each in rounds]
    loads = [each.load for each in every]
    print(f"\nRounds: {options.rounds}; load average {min(loads):.1f} to {max(loads):.1f}.")
    record = {"machine": machine(), "suffered": [asdict(each) for each in every]}
    print(f"Record: {keep('attacks', record)}")


if __name__ == "__main__":
    main()
