"""A running listener and a delivery that has work, on a fresh database and data folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from db.files import FileStore
from db.session import Database
from tests.db.databases import (
    clock,
    database_url,
    fresh_postgres,
    fresh_sqlite,
    migrated_postgres,
    migrated_sqlite,
)

__all__ = [
    "clock",
    "database_url",
    "fresh_postgres",
    "fresh_sqlite",
    "migrated_postgres",
    "migrated_sqlite",
]


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    """An empty data folder."""
    made = FileStore(tmp_path / "data")
    made.prepare()
    return made


@pytest.fixture
def database(fresh_sqlite: Callable[[], str]) -> Iterator[Database]:
    """A fresh SQLite database that goes by the machine's clock."""
    with closing(Database(fresh_sqlite())) as opened:
        yield opened
