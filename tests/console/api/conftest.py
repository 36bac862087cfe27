"""A program that may do everything, and one that only reads."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from console.context import Context
from console.security.scopes import Scope
from db.states import UserRole
from tests.console.api.calling import Program, program
from tests.db.databases import database_url, fresh_postgres, migrated_postgres

__all__ = ["database_url", "fresh_postgres", "migrated_postgres"]


@pytest.fixture
def everything(context: Context) -> Iterator[Program]:
    """A program of an administrator, with all scopes."""
    with program(context) as made:
        yield made


@pytest.fixture
def reading(context: Context) -> Iterator[Program]:
    """A program of an administrator that may only read."""
    with program(context, UserRole.ADMIN, Scope.READ) as made:
        yield made
