"""The console of a fresh database, and somebody who is logged in there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from console.context import Context
from db.session import Database
from db.states import UserRole
from tests.console.browsing import Person, person, running_console
from tests.db.databases import (
    clock,
    fast_folder,
    fresh_postgres,
    fresh_sqlite,
    migrated_postgres,
    migrated_sqlite,
)
from tests.db.makers import Clock

__all__ = [
    "clock",
    "fast_folder",
    "fresh_postgres",
    "fresh_sqlite",
    "migrated_postgres",
    "migrated_sqlite",
]


@pytest.fixture
def database(fresh_sqlite: Callable[[], str], clock: Clock) -> Iterator[Database]:
    """A fresh SQLite database that goes by the test's clock."""
    with closing(Database(fresh_sqlite(), clock=clock)) as opened:
        yield opened


@pytest.fixture
def context(database: Database, fast_folder: Path) -> Iterator[Context]:
    """A console's context."""
    with running_console(database, fast_folder) as made:
        yield made


@pytest.fixture
def reader(context: Context) -> Iterator[Person]:
    """A reader, logged in."""
    with person(context, UserRole.READER) as made:
        yield made


@pytest.fixture
def operator(context: Context) -> Iterator[Person]:
    """An operator, logged in."""
    with person(context, UserRole.OPERATOR) as made:
        yield made


@pytest.fixture
def admin(context: Context) -> Iterator[Person]:
    """An administrator, logged in."""
    with person(context, UserRole.ADMIN) as made:
        yield made
