"""Databases under test: SQLite in a file and a real PostgreSQL, both with a still clock."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from db import migrations
from db.models import Base
from db.session import Database
from tests import peers
from tests.db.makers import Clock


@pytest.fixture
def clock() -> Clock:
    """The clock that the database of this test goes by."""
    return Clock()


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with all tables and no rows, to be copied."""
    folder = tmp_path_factory.mktemp("sqlite")
    with closing(Database(f"sqlite:///{folder / 'empty.sqlite'}")) as database:
        migrations.upgrade(database, folder)
    return folder / "empty.sqlite"


@pytest.fixture(scope="session")
def migrated_postgres(
    postgres_server: peers.Postgres, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """The URL of a PostgreSQL database with all tables."""
    url = postgres_server.database(f"empty_{uuid.uuid4().hex[:12]}")
    with closing(Database(url)) as database:
        migrations.upgrade(database, tmp_path_factory.mktemp("postgres"))
    return url


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of a fresh database with all tables, once of each kind."""
    fresh: Callable[[], str] = request.getfixturevalue(f"fresh_{request.param}")
    return fresh()


@pytest.fixture
def fast_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory, where the machine has one: no test of rows waits for a disk."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="hilum-test-", dir=memory) as folder:
        yield Path(folder)


@pytest.fixture
def fresh_sqlite(migrated_sqlite: Path, fast_folder: Path) -> Callable[[], str]:
    """Makes an SQLite database with all tables, and returns its URL."""

    def fresh() -> str:
        file = fast_folder / f"{uuid.uuid4().hex}.sqlite"
        shutil.copyfile(migrated_sqlite, file)
        return f"sqlite:///{file}"

    return fresh


@pytest.fixture
def fresh_postgres(migrated_postgres: str) -> Callable[[], str]:
    """Empties the PostgreSQL database, and returns its URL."""

    def fresh() -> str:
        tables = ", ".join(f'"{table}"' for table in Base.metadata.tables)
        with psycopg.connect(migrated_postgres.replace("+psycopg", "")) as connection:
            connection.execute(f"TRUNCATE {tables} RESTART IDENTITY CASCADE")
        return migrated_postgres

    return fresh


@pytest.fixture
def database(database_url: str, clock: Clock) -> Iterator[Database]:
    """A fresh database of each kind that goes by the test's clock."""
    with closing(Database(database_url, clock=clock)) as opened:
        yield opened
