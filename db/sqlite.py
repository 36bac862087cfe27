"""SQLite as it is used here: which library of it, how it keeps its journal, how it is set up.

Versions from 3.7.0 to 3.51.2 can corrupt a database when its write-ahead log is reset while another
connection reads (fixed in 3.51.3, 3.50.7 and 3.44.6), and Python is mostly built with one of these.
`pysqlite3` is the same driver with a newer SQLite inside. It is used where it is installed, and by
everything in a process: two SQLite libraries that open one file break each other's locks.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import Connection, Engine, create_engine, event

if TYPE_CHECKING:
    import sqlite3

BUSY_TIMEOUT_SECONDS = 60
_WAL_BYTES = 64 * 1024 * 1024
"""What is left of a write-ahead log that had grown, once its pages are in the database."""


def library() -> Any:
    """Return the module of the newest SQLite that there is."""
    try:
        return importlib.import_module("pysqlite3.dbapi2")
    except ImportError:  # it is had ready-made for some platforms alone
        return importlib.import_module("sqlite3")


driver = library()
"""The module that everything here opens SQLite with; it has all that `sqlite3` has."""


def connect(path: str | Path) -> sqlite3.Connection:
    """Open a database file beside SQLAlchemy; transactions are begun by hand."""
    opened = driver.connect(str(path), timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None)
    return cast("sqlite3.Connection", opened)


def journal_mode(version: tuple[int, ...] | None = None) -> str:
    """Return the journal mode that is safe with an SQLite version, by default that in use."""
    version = version or tuple(driver.sqlite_version_info)
    fixed = (
        version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)
    )
    return "WAL" if fixed else "TRUNCATE"


def engine_of(url: str) -> Engine:
    """Return an engine whose transactions are durable and whose writers wait for each other.

    A transaction of a connection with the option `hilum_write` takes the write lock at once.
    """
    engine = create_engine(
        url,
        module=driver,
        connect_args={
            "timeout": BUSY_TIMEOUT_SECONDS,
            "check_same_thread": False,
            # Lists of ids make many statements that differ in length alone; of the 128 that would
            # be kept prepared, each takes up to 40 KB, for every connection.
            "cached_statements": 32,
        },
        # The connection used last comes first: each has caches of its own, of pages (2 MB) and of
        # statements, and those that are not needed at the same time are not filled.
        pool_use_lifo=True,
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _record: object) -> None:
        # SQLAlchemy emits BEGIN itself (below); the driver must not.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute(f"PRAGMA journal_mode = {journal_mode()}")
        cursor.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("hilum_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
