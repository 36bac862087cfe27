"""Fault 12: conversations with the listener that are wrong in a seeded way (`make fuzz`)."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.ledger import Ledger
from tests.fuzz import pdus

CASES = 100_000


@pytest.mark.faults
@pytest.mark.timeout(14_400)
def test_mutated_pdus(
    ledger: Ledger, rng: random.Random, times: Callable[[int], int], tmp_path: Path
) -> None:
    with ledger.fault("12", "SQLite") as tally, pdus.fuzzed(tmp_path) as (process, port):
        seed = rng.randrange(2**32)
        report = pdus.run(process, port, seed=seed, first=0, cases=times(CASES))
        tally.times = report.cases
        tally.remark = (
            f"grown by {report.grown / 1e6:.1f} MB, slowest echo {report.slowest_echo:.2f} s;"
            f" `make fuzz SEED={seed} CASES={report.cases}` sends them again"
        )
