"""Fault 2: the order of system calls, seen by strace: nothing is answered before it is durable."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.ledger import Ledger
from tests.faults.reckoning import count
from tests.faults.sender import Sender
from tests.faults.strace import Moment, moments, traced
from tests.peers import hilum_process
from tests.system.whole import make_films, whole

FILMS = 50
SIDE = 64
_CALLS = ("fsync", "fdatasync", "link", "linkat", "sendto", "sendmsg", "write", "writev")
_STEPS: dict[str, tuple[bool, re.Pattern[str]]] = {
    "file": (True, re.compile(r"^f(data)?sync\(\d+<[^>]*/incoming/[^>]*\.part>\) += 0")),
    "name": (True, re.compile(r'^link(at)?\(.*/films/.*\.dcm".* = 0')),
    "folder": (True, re.compile(r"^fsync\(\d+<[^>]*/films/\d+/\d+/\d+>\) += 0")),
    "commit in SQLite": (True, re.compile(r"^f(data)?sync\(\d+<[^>]*\.sqlite[^>]*>\) += 0")),
    "commit in PostgreSQL": (True, re.compile(r'^sendto\(\d+<[^>]*>, "Q.*COMMIT')),
    # A P-DATA-TF PDU (PS3.8 9.3.5); a listener sends none but its responses.
    "answer": (False, re.compile(r'^sendto\(\d+<[^>]*>, "\\4\\0')),
}


@pytest.mark.faults
def test_nothing_is_answered_before_it_is_durable(
    database_url: str,
    kind: str,
    ledger: Ledger,
    times: Callable[[int], int],
    tmp_path: Path,
) -> None:
    films = make_films(tmp_path / "films", times(FILMS) + 1, size=SIDE)
    trace = tmp_path / "strace.txt"
    with (
        ledger.fault("2", kind) as tally,
        whole(tmp_path, database_url=database_url) as service,
        hilum_process(["listen"], service.env, folder=service.folder) as listener,
    ):
        listener.wait_for(service.answers)
        sender = Sender(films, service.port)
        sender.send(films[:1])  # which makes folders
        with traced(listener.pid, _CALLS, trace):
            sender.send_all()
        answers = _between_answers(list(filter(None, map(_step, moments(trace)))))
        tally.times = len(answers)
        assert len(answers) == len(films) - 1
        for steps in answers:
            last = {step: place for place, step in enumerate(steps)}
            order = [last[step] for step in ("file", "name", "folder", f"commit in {kind}")]
            assert order == sorted(order), steps
        count(tally, service, sender.acknowledged)


def _step(moment: Moment) -> str | None:
    return next(
        (
            name
            for name, (ended, pattern) in _STEPS.items()
            if ended == moment.ended and pattern.search(moment.call)
        ),
        None,
    )


def _between_answers(steps: list[str]) -> list[list[str]]:
    """Return what was done before each answer and after the one before."""
    found: list[list[str]] = [[]]
    for step in steps:
        if step == "answer":
            found.append([])
        else:
            found[-1].append(step)
    return found[:-1]
