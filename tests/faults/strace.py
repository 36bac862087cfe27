"""The system calls of a running process, in the order in which they began and ended."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.peers import require, wait_until

_LINE = re.compile(r"^(?P<thread>\d+) +(?P<call>.*)$")
_RESUMED = re.compile(r"^<\.\.\. \w+ resumed>(?P<rest>.*)$")
_UNFINISHED = " <unfinished ...>"


@dataclass(frozen=True, slots=True)
class Moment:
    """A call, with its arguments as strace shows them, that begins or has ended."""

    call: str
    ended: bool


@contextmanager
def traced(pid: int, calls: Sequence[str], file: Path) -> Iterator[None]:
    """Write down these calls of a process and its threads until the end of the block."""
    (program,) = require("strace")
    trace = f"trace={','.join(calls)}"
    command = [program, "-f", "-y", "-s", "64", "-e", trace, "-o", str(file), "-p", str(pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            first = process.stderr.readline()
            assert "attached" in first, first
            yield
        finally:
            process.terminate()
            process.communicate(timeout=30)
    wait_until(file.exists, "the trace")


def moments(file: Path) -> Iterator[Moment]:
    """Return what `traced` wrote down, a call that ran alone as its beginning and its end."""
    open_calls: dict[str, str] = {}
    for line in file.read_text(errors="replace").splitlines():
        found = _LINE.match(line)
        if found is None:
            continue
        thread, call = found["thread"], found["call"]
        resumed = _RESUMED.match(call)
        if resumed is not None:
            yield Moment(open_calls.pop(thread, "") + resumed["rest"], ended=True)
        elif call.endswith(_UNFINISHED):
            open_calls[thread] = call.removesuffix(_UNFINISHED)
            yield Moment(open_calls[thread], ended=False)
        else:
            yield Moment(call, ended=False)
            yield Moment(call, ended=True)
