"""The fault suite: provoked by `make faults`, with moments and order that its seed decides.

Without a seed only the tests run that are not marked as part of the suite.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable

import pytest

from tests.db.databases import (
    database_url,
    fast_folder,
    fresh_postgres,
    fresh_sqlite,
    migrated_postgres,
    migrated_sqlite,
)
from tests.faults.ledger import Ledger, as_table
from tests.peers import ROOT

__all__ = [
    "database_url",
    "fast_folder",
    "fresh_postgres",
    "fresh_sqlite",
    "migrated_postgres",
    "migrated_sqlite",
]

SEED_VARIABLE = "HILUM_FAULTS_SEED"
SHARE_VARIABLE = "HILUM_FAULTS_SHARE"
_RECORDS = ROOT / "runs" / "faults"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the suite's own tests out unless a seed is given."""
    if SEED_VARIABLE in os.environ:
        return
    ours = [item for item in items if item.get_closest_marker("faults")]
    if ours:
        config.hook.pytest_deselected(items=ours)
        items[:] = [item for item in items if item not in ours]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table of this seed."""
    if SEED_VARIABLE not in os.environ:
        return
    rows = Ledger(_RECORDS, _seed()).rows()
    terminalreporter.section(f"faults, seed {_seed()}")
    terminalreporter.write(as_table(rows))


@pytest.fixture(scope="session")
def ledger() -> Ledger:
    """Where rows are kept."""
    return Ledger(_RECORDS, _seed(), _share())


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Moments and order: the same for the same seed and test."""
    return random.Random(f"{_seed()} {request.node.name}")


@pytest.fixture(scope="session")
def times() -> Callable[[int], int]:
    """How often a fault is provoked: as often as is asked, or the share of it that is set."""
    return lambda asked: max(1, round(asked * _share()))


@pytest.fixture
def kind(database_url: str) -> str:
    """The name of the kind of database under test."""
    return "SQLite" if database_url.startswith("sqlite") else "PostgreSQL"


def _seed() -> int:
    return int(os.environ.get(SEED_VARIABLE, "0"))


def _share() -> float:
    return float(os.environ.get(SHARE_VARIABLE, "1"))
