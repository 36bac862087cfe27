"""A running listener and a delivery that has work, on a fresh database and data folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pynetdicom.transport import AssociationServer

from db.files import FileStore
from db.session import Database
from tests.db.databases import (
    clock,
    database_url,
    fast_folder,
    fresh_postgres,
    fresh_sqlite,
    migrated_postgres,
    migrated_sqlite,
)

__all__ = [
    "clock",
    "database_url",
    "fast_folder",
    "fresh_postgres",
    "fresh_sqlite",
    "migrated_postgres",
    "migrated_sqlite",
]


@pytest.fixture(autouse=True)
def _servers_that_stop_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have servers look every 20 ms whether they shall stop, not every half second."""
    serve = AssociationServer.serve_forever
    monkeypatch.setattr(AssociationServer, "serve_forever", lambda self: serve(self, 0.02))
    monkeypatch.setattr(AssociationServer, "service_actions", lambda _: None)


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
