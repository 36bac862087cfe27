"""Wrong conversations: each ends, and the listener lives on (a short run of `make fuzz`)."""

from __future__ import annotations

from pathlib import Path

from tests.fuzz import pdus

CASES = 400


def test_whatever_is_said_to_the_listener_it_ends_and_leaves_nothing(tmp_path: Path) -> None:
    with pdus.fuzzed(tmp_path) as (process, port):
        report = pdus.run(process, port, seed=20_261_129, first=0, cases=CASES)
    assert report.cases == CASES


def test_a_case_is_the_same_however_often_it_is_made() -> None:
    assert len({b"".join(pdus.mutated(7, number)) for number in range(50)}) == 50
    assert pdus.mutated(7, 3) == pdus.mutated(7, 3)
