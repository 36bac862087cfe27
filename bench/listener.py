"""How fast films are taken in: Hilum's listener beside DCMTK, Orthanc, pynetdicom and the disk.

The same sender (DCMTK's `dcmsend`) sends the same films to each, small and large, over 1, 4 and 16
associations, with TCP_NODELAY and with Nagle's algorithm, as many modalities send. Every film has
UIDs of its own, so that none is a duplicate. The limit is the disk: each film written and synced.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench import made_films
from bench.common import keep, machine, median, table
from bench.open_loop import held
from bench.receivers import CALLED, Receiver, kinds, version
from tests.peers import dcmsend

ASSOCIATIONS = (1, 4, 16)
NAGLE_ASSOCIATIONS = 4
HELD = 50
MEGABYTE = 1_000_000
DISK = "disk: write + sync"
Found = dict[str, dict[str, list[float]]]
"""Films a second in each round, by receiver and by case."""


class NotTakenError(Exception):
    """A receiver has not answered every film with Success."""


class Load:
    """The films that are sent, and how."""

    def __init__(self, folder: Path, small: int, large: int, nagle: int) -> None:
        kinds = {"small": made_films.small(), "large": made_films.large()}
        counts = {"small": small, "large": large}
        self._films = {
            name: (kind, kind.make(counts[name], folder / name)) for name, kind in kinds.items()
        }
        self._nagle = nagle
        self.cases: dict[str, Callable[[Receiver], float]] = {}
        for name in kinds:
            for associations in ASSOCIATIONS:
                self.cases[f"{name} a{associations}"] = self._case(name, associations)
        self.nagle_cases = {
            f"small a{associations} Nagle": self._case("small", associations, nagle=True)
            for associations in (1, NAGLE_ASSOCIATIONS)
        }

    def warm(self, receiver: Receiver) -> None:
        """Send a few films of each kind."""
        for name in self._films:
            self._send(receiver, name, 2, most=8)

    def disk(self, folder: Path, name: str, writers: int) -> float:
        """Return how many films of a kind so many writers write and sync a second."""
        _, films = self._films[name]
        contents = [film.read_bytes() for film in films[:8]]
        folder.mkdir()

        def write(number: int) -> None:
            path = folder / f"{number:05}"
            with path.open("wb") as file:
                file.write(contents[number % len(contents)])
                file.flush()
                os.fsync(file.fileno())

        os.sync()
        begin = time.perf_counter()
        with ThreadPoolExecutor(writers) as pool:
            list(pool.map(write, range(len(films))))
        seconds = time.perf_counter() - begin
        shutil.rmtree(folder)
        return len(films) / seconds

    def _case(
        self, name: str, associations: int, *, nagle: bool = False
    ) -> Callable[[Receiver], float]:
        most = self._nagle if nagle else None
        return lambda receiver: self._send(receiver, name, associations, most=most, nagle=nagle)

    def _send(
        self,
        receiver: Receiver,
        name: str,
        associations: int,
        *,
        most: int | None = None,
        nagle: bool = False,
    ) -> float:
        """Send films over parallel associations; return how many a second were acknowledged.

        Raises:
            NotTakenError: not every film was answered with Success.
        """
        kind, every = self._films[name]
        films = every[:most]
        kind.renew(films)
        os.sync()  # what the last run left to be written must not cost this one
        shares = [films[i::associations] for i in range(min(associations, len(films)))]
        begin = time.perf_counter()
        with ThreadPoolExecutor(associations) as pool:
            sent = list(
                pool.map(
                    lambda share: dcmsend(share, receiver.port, called=CALLED, nagle=nagle), shares
                )
            )
        seconds = time.perf_counter() - begin
        accepted = sum(each.accepted for each in sent)
        if accepted != len(films):
            raise NotTakenError(f"{len(films)} films sent, {accepted} accepted")
        return len(films) / seconds


def main() -> None:
    """Measure, print tables, keep the record."""
    arguments = _arguments()
    about = machine()
    about["receivers"] = {name: version(name) for name in ("storescp", "Orthanc")}
    receivers = kinds(arguments.processes)
    if arguments.only:
        receivers = [each for each in receivers if arguments.only in each.name]
    found: Found = {}
    memory: dict[str, float] = {}
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hilum-bench-") as place:
        folder = Path(place)
        load = Load(folder / "sent", arguments.small, arguments.large, arguments.nagle)
        for number in range(arguments.rounds):
            for name, writers in (("small", 1), ("small", 4), ("large", 1), ("large", 4)):
                rates = found.setdefault(DISK, {}).setdefault(f"{name} a{writers}", [])
                rates.append(load.disk(folder / "disk", name, writers))
            for kind in receivers:
                # DCMTK and what is built on it wait by Nagle's algorithm unless this is set.
                for no_delay, cases in (("1", load.cases), ("0", load.nagle_cases)):
                    os.environ["TCP_NODELAY"] = no_delay
                    home = folder / "receiver"
                    home.mkdir()
                    with kind.start(home) as receiver:
                        load.warm(receiver)
                        for case, run in cases.items():
                            try:
                                rate = run(receiver)
                            except NotTakenError as error:
                                if kind.name.startswith("Hilum"):
                                    raise
                                print(f"{kind.name}, {case}: {error}", flush=True)
                                continue
                            found.setdefault(kind.name, {}).setdefault(case, []).append(rate)
                        if kind.name.startswith("Hilum") and no_delay == "1" and number == 0:
                            with held(receiver.port, HELD, called=CALLED):
                                memory[kind.name] = receiver.memory() / MEGABYTE
                    shutil.rmtree(home)
                print(f"round {number + 1}: {kind.name} {_short(found[kind.name])}", flush=True)
    seconds = time.monotonic() - begin
    durable = {each.name: each.durable for each in receivers} | {DISK: "yes"}
    path = keep("listener", {"machine": about, "rates": found, "memory_mb": memory})
    print(_report(about, arguments, found, durable, memory))
    print(f"\nIt took {seconds:.0f} s. Kept in {path}")


def _short(rates: dict[str, list[float]]) -> str:
    return ", ".join(f"{case} {values[-1]:.0f}" for case, values in rates.items())


def _report(
    about: dict[str, Any],
    arguments: argparse.Namespace,
    found: Found,
    durable: dict[str, str],
    memory: dict[str, float],
) -> str:
    head = (
        f"{about['cores']} cores of {about['processor']}, load {about['load']:.1f} at the start;"
        f" {', '.join(about['receivers'].values())}; {arguments.small} films of 130 KB,"
        f" {arguments.large} of 10 MB, medians of {arguments.rounds} rounds, films a second"
        f" (commit {about['commit']}, {about['time']}).\n\n"
    )
    cases = list(dict.fromkeys(case for rates in found.values() for case in rates))
    middle = {
        name: {case: median(values) for case, values in rates.items()}
        for name, rates in found.items()
    }
    rows = [
        [name, *(_figure(rates.get(case)) for case in cases), durable[name]]
        for name, rates in middle.items()
    ]
    text = head + table(["receiver", *cases, "durable"], rows)
    text += "\n\n-: not measured, or the receiver did not take every film."
    ours = [name for name in middle if name.startswith("Hilum")]
    peers = [name for name in ("Orthanc", "DCMTK storescp") if name in middle]
    ratios = [
        [f"{name} / {peer}", *(_ratio(middle[name], middle[peer], case) for case in cases)]
        for name in ours
        for peer in peers
    ]
    if ratios:
        text += "\n\n" + table(["ratio", *cases], ratios)
    rows = [[name, f"{value:.0f} MB"] for name, value in memory.items()]
    return text + "\n\n" + table(["receiver", f"memory with {HELD} associations open"], rows)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _ratio(ours: dict[str, float], theirs: dict[str, float], case: str) -> str:
    return f"{ours[case] / theirs[case]:.1f}" if case in ours and case in theirs else ""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.listener", description=__doc__)
    parser.add_argument("--small", type=int, default=400, help="films of 130 KB a run")
    parser.add_argument("--large", type=int, default=32, help="films of 10 MB a run")
    parser.add_argument("--nagle", type=int, default=32, help="small films a run with Nagle")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processes", type=_numbers, default=(1, 2), help="of Hilum, as 1,2")
    parser.add_argument("--only", default="", help="receivers whose name holds this text")
    return parser.parse_args()


def _numbers(text: str) -> Sequence[int]:
    return tuple(int(part) for part in text.split(","))


if __name__ == "__main__":
    main()
