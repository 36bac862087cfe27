"""What every fault has cost: one row a fault and database, kept as JSON, shown as a table."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from docs.tables.marked import table

FAULTS: dict[str, tuple[str, str]] = {
    "1": (
        "kill -9 of the listener while films come",
        "each acknowledged film is one file, one row, one SR in the PACS; no orphan file",
    ),
    "2": (
        "order of system calls (strace)",
        "file, folder and commit are synced before the C-STORE response",
    ),
    "3": (
        "kill -9 of a worker that reads",
        "taken over within the lease; one SR each",
    ),
    "4": (
        "kill -9 of the sender, also between the PACS's answer and our commit",
        "one SR in the PACS, repeated byte for byte",
    ),
    "5a": ("disk full", "A700 or a refused association, no false 0x0000, well again in 10 s"),
    "5b": ("file size limit", "A700, no false 0x0000, well again in 10 s"),
    "6": (
        "poison images",
        "the worker lives, at most 3 attempts, next study delayed 60 s at most, 2 GB at most",
    ),
    "7": ("attacks while a sender works", "echo in 1 s throughout, threads back within 30 s"),
    "8a": (
        "PACS down, refusing, out of room, aborting, silent",
        "everything arrives once, another destination is not held up",
    ),
    "8b": ("PACS down for 24 h (injected clock)", "nothing lost, nothing given up"),
    "9a": ("database locked", "no 0x0000 without commit"),
    "9b": ("PostgreSQL stopped at once, and started", "no 0x0000 without commit"),
    "10": (
        "duplicates, altered duplicates, late images, reversed order",
        "no work twice, both copies kept, a revision, the same report",
    ),
    "11": (
        "hostile text in UIDs, AE titles and names",
        "kept as it is, escaped where shown, nothing outside of the data folder",
    ),
    "12": ("mutated PDUs", "no hang, RSS growth below 50 MB"),
    "13": (
        "1,000 associations at once",
        "the excess refused as transient, the accepted ones complete",
    ),
    "14": ("clock a day ahead, and a day back", "leases and quiet times hold, nothing is put off"),
    "15a": ("pixels cut off, absurd frames, private classes", "each ends in a reason"),
    "15b": ("a peer that is stopped (SIGSTOP)", "others are served; it gets its results later"),
    "15c": (
        "TLS: unknown CA, expired certificate, plaintext, silence",
        "none is let in, and good peers are served meanwhile",
    ),
    "F": (
        "mutated files",
        "no hang, no crash of a parent, each read or refused, no value of the file in a reason",
    ),
    "16": ("soak", "nothing lost, RSS slope about 0"),
    "17a": (
        "kill -9 of `hilum fetch` while films come by C-GET",
        "the same command goes on; each film once, one SR each",
    ),
    "17b": (
        "kill -9 of `hilum fetch`, or of the listener, while films come by C-MOVE",
        "the same command goes on; each film once, one SR each",
    ),
    "18": (
        "kill -9 of the STOW-RS server while films come",
        "each acknowledged film is one file, one row, one SR in the PACS; no orphan file",
    ),
}
"""Each fault by its key, with its name and the figure asked."""

HEADER = (
    "fault",
    "what happens",
    "database",
    "seed",
    "times",
    "acknowledged",
    "lost",
    "twice",
    "well again after",
    "took",
    "CPU time",
    "asked for",
    "held",
)


@dataclass(slots=True)
class Tally:
    """What a fault's test counts while it runs."""

    times: int = 0
    acknowledged: int = 0
    lost: int = 0
    duplicated: int = 0
    recovery_seconds: float | None = None
    remark: str = ""

    def recovered(self, seconds: float) -> None:
        """Note how long it took until all was well again; the longest time counts."""
        self.recovery_seconds = max(seconds, self.recovery_seconds or 0.0)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    fault: str
    database: str
    seed: int
    held: bool
    tally: Tally
    seconds: float
    """How long all of it took."""
    share: float = 1.0
    """Which part of the times that are asked for."""
    cpu_seconds: float = 0.0
    """What this process and all that it started have computed meanwhile."""

    def cells(self) -> list[str]:
        """Return the line as text, in the order of `HEADER`."""
        name, asked = FAULTS[self.fault]
        tally = self.tally
        again = tally.recovery_seconds
        held = "yes" if self.held else "**no**"
        return [
            self.fault,
            name,
            self.database or "-",
            str(self.seed),
            f"{tally.times:,}" + ("" if self.share >= 1 else " (not all)"),
            f"{tally.acknowledged:,}",
            str(tally.lost),
            str(tally.duplicated),
            "-" if again is None else f"{again:.1f} s",
            _told(self.seconds),
            _told(self.cpu_seconds),
            asked,
            f"{held}; {tally.remark}" if tally.remark else held,
        ]


class Ledger:
    """The rows of one seed, in a folder: a fault that runs again replaces its row."""

    def __init__(self, folder: Path, seed: int, share: float = 1.0) -> None:
        self.folder = folder / str(seed)
        self._seed = seed
        self._share = share

    @contextmanager
    def fault(self, fault: str, database: str = "") -> Iterator[Tally]:
        """Count what a fault costs; it has held unless the block ends with an error."""
        assert fault in FAULTS
        self.folder.mkdir(parents=True, exist_ok=True)
        tally = Tally()
        began, computed = time.monotonic(), _cpu_seconds()
        held = False
        try:
            yield tally
            held = not (tally.lost or tally.duplicated)
            assert held, f"{tally.lost} lost, {tally.duplicated} twice"
        finally:
            took = round(time.monotonic() - began, 1)
            cpu = round(_cpu_seconds() - computed, 1)
            self._keep(Row(fault, database, self._seed, held, tally, took, self._share, cpu))

    def rows(self) -> list[Row]:
        """Return all rows."""
        rows = []
        for file in self.folder.glob("*.json"):
            values = json.loads(file.read_text(encoding="utf-8"))
            rows.append(Row(**{**values, "tally": Tally(**values["tally"])}))
        return rows

    def _keep(self, row: Row) -> None:
        file = self.folder / f"{row.fault}-{row.database or 'none'}.json"
        file.write_text(json.dumps(asdict(row), indent=2), encoding="utf-8")


def _told(seconds: float) -> str:
    """Return a time as text; it was not measured where it is 0."""
    return f"{seconds:,.0f} s" if seconds else "-"


def _cpu_seconds() -> float:
    """Return the processor time of this process and of those that it has waited for."""
    return sum(os.times()[:4])


def as_table(rows: Iterable[Row]) -> str:
    """Return rows as a Markdown table, in the order of the faults."""
    order = list(FAULTS)
    ordered = sorted(rows, key=lambda row: (order.index(row.fault), row.database))
    return table(HEADER, [row.cells() for row in ordered])
