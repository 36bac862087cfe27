"""The trail's files: one a day, each record chained by its hash to the one before.

A line is the hash of its record, a space, and the record. The hash is SHA-256 of the hash before
and the record, so a line that is changed, left out or put in breaks the chain, also from one day to
the next. The hash of the last record stands in the file `head`, so that records cut off at the end
are found out too. Who may write the whole folder can of course write all of it anew: against that,
have the records sent to a syslog server as they are made.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

FIRST = "0" * 64
_HEAD = "head"
_TAIL_BYTES = 8192
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}\.audit")
_LINE = re.compile(r"([0-9a-f]{64}) (.+)")
_BROKEN = "does not fit the record before it: something was changed, put in or left out there"
_CUT = "records at the end are missing: the last one is not that which `head` names"


@dataclass(frozen=True, slots=True)
class Verified:
    """How many records of how many days fit together, the last hash, and what is wrong if any."""

    records: int
    days: int
    last: str
    first_day: str = ""
    problem: str | None = None


def append(folder: Path, record: str, at: datetime) -> None:
    """Add a record to the file of its day; processes that write at once take turns.

    Where the clock was set back, it goes on with the latest day: the chain never runs backwards.

    Raises:
        OSError: it could not be written.
    """
    with _turn(folder) as head:
        last = _last(folder) or _head(head)
        linked = _link(last, record)
        latest = [path.name for path in days(folder)[-1:]]
        day = max([f"{at:%Y-%m-%d}.audit", *latest])
        _add_line(folder / day, f"{linked} {record}\n".encode())
        os.pwrite(head, linked.encode("ascii"), 0)


def verify(folder: Path) -> Verified:
    """Walk the chain through all days; where the earliest days were put away, from there on.

    Raises:
        OSError: a file cannot be read.
    """
    if not (folder / _HEAD).exists():
        found = days(folder)
        if not found:
            return Verified(0, 0, FIRST)
        if not (folder / _HEAD).exists():  # it comes before the first day, maybe only just now
            problem = "the file `head`, which names the last record, is missing"
            return Verified(0, len(found), FIRST, problem=problem)
    with _turn(folder) as head:
        # Nobody who has something to record waits for the walk, however long that is.
        files = [(path, path.stat().st_size) for path in days(folder)]
        last = _head(head)
    return _walk(files, last)


def _walk(files: list[tuple[Path, int]], head: str) -> Verified:
    """Follow the chain; what came before the first record that is left cannot be known.

    Of each file so many bytes count: what was added since is of another walk.
    """
    hashes = [FIRST, FIRST]  # of the last two records
    count = 0
    for day, size in files:
        with day.open("rb") as lines:
            for number, raw in enumerate(lines, start=1):
                if lines.tell() > size:
                    break
                match = _LINE.fullmatch(raw.removesuffix(b"\n").decode("utf-8", "replace"))
                if match is None or (count and match[1] != _link(hashes[1], match[2])):
                    where = f"{day.name}, line {number}"
                    return Verified(count, len(files), hashes[1], problem=f"{where} {_BROKEN}")
                hashes = [hashes[1], match[1]]
                count += 1
    # A process that was killed between record and head leaves the head one behind.
    problem = None if head in hashes else _CUT
    return Verified(count, len(files), hashes[1], files[0][0].stem if files else "", problem)


def days(folder: Path) -> list[Path]:
    """List the files of the trail, the earliest day first."""
    return sorted(path for path in folder.glob("*.audit") if _DAY.fullmatch(path.name))


def _link(last: str, record: str) -> str:
    return hashlib.sha256(f"{last} {record}".encode()).hexdigest()


def _head(head: int) -> str:
    return os.pread(head, 64, 0).decode("ascii", "replace") or FIRST


def _last(folder: Path) -> str | None:
    """Return the hash of the last record; None where there is none.

    It is read from the record itself: a process that is killed may leave `head` one behind.
    """
    for day in reversed(days(folder)):
        with day.open("rb") as file:
            size, length = file.seek(0, os.SEEK_END), 0
            while length < size:
                length = min(size, max(_TAIL_BYTES, 2 * length))
                file.seek(size - length)
                tail = file.read().removesuffix(b"\n")
                if b"\n" in tail or length == size:
                    return tail.rpartition(b"\n")[2][:64].decode("ascii", "replace")
    return None


def _add_line(day: Path, line: bytes) -> None:
    """Write a whole line or nothing: half a line would break the chain."""
    file = os.open(day, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    try:
        size = os.fstat(file).st_size
        if os.write(file, line) != len(line):
            os.ftruncate(file, size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(day))
    finally:
        os.close(file)


@contextmanager
def _turn(folder: Path) -> Iterator[int]:
    """Hold the file that names the last record, for us alone."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    head = os.open(folder / _HEAD, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(head, fcntl.LOCK_EX)
        yield head
    finally:
        os.close(head)
