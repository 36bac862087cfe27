"""Databases of both kinds, and cheap keys: a passphrase is worth guessing in no test."""

from __future__ import annotations

import pytest

from db.backup import sealed
from tests.db.databases import (
    clock,
    database,
    database_url,
    fast_folder,
    fresh_postgres,
    fresh_sqlite,
    migrated_postgres,
    migrated_sqlite,
)

__all__ = [
    "clock",
    "database",
    "database_url",
    "fast_folder",
    "fresh_postgres",
    "fresh_sqlite",
    "migrated_postgres",
    "migrated_sqlite",
]


@pytest.fixture(autouse=True)
def _cheap_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed, "SCRYPT_LOG_N", 4)
