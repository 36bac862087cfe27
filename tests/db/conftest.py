"""The database under test, of each kind."""

from __future__ import annotations

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
