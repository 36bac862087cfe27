"""The rows of a database as text that either kind of database takes, and back.

A table becomes batches of JSON lines: first the names of its columns, then a list for each row.
Times are ISO 8601 in UTC.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, MetaData, Table, func, inspect, select, text

from db import sqlite
from db.models import Base
from db.session import Database

_BATCH = 1000


@contextmanager
def snapshot(database: Database, scratch: Path) -> Iterator[Connection]:
    """Open a connection that sees the database as it is now, however long it is read.

    SQLite's journal grows, or nobody writes, for as long as somebody reads, so it is copied to
    `scratch` (an empty folder) by its backup API first; PostgreSQL gives a snapshot of its own.
    """
    if not database.is_sqlite:
        repeatable = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with database.engine.connect().execution_options(**repeatable) as connection:
            yield connection
        return
    copy = scratch / "copy.sqlite"
    with (
        closing(database.engine.raw_connection()) as source,
        closing(sqlite.connect(copy)) as to,
    ):
        held = source.driver_connection
        assert isinstance(held, sqlite.driver.Connection)
        held.backup(to)
    with closing(Database(f"sqlite:///{copy}")) as copied, copied.engine.connect() as connection:
        yield connection


def dumped(connection: Connection) -> Iterator[tuple[str, bytes]]:
    """Yield every row as batches of a table's name and its JSON lines, in an order that loads."""
    streamed = connection.execution_options(yield_per=_BATCH)
    for table in Base.metadata.sorted_tables:
        columns = [column for column in table.columns if column.computed is None]
        names = json.dumps([column.name for column in columns])
        rows = streamed.execute(select(*columns).order_by(*table.primary_key.columns))
        for batch in rows.partitions():
            lines = [names, *(json.dumps(list(row), default=_plain) for row in batch)]
            yield table.name, "\n".join(lines).encode()


def last_ids(connection: Connection) -> dict[str, int]:
    """Map tables to the last id that they gave: after a restore too, none is given twice."""
    numbered = [
        table.name
        for table in Base.metadata.sorted_tables
        if table.autoincrement_column is not None
    ]
    if connection.dialect.name == "sqlite":
        rows = connection.execute(text("SELECT name, seq FROM sqlite_sequence"))
        return {name: last for name, last in rows if name in numbered}
    found = {}
    for name in numbered:
        sequence = connection.scalar(select(func.pg_get_serial_sequence(name, "id")))
        # The name of a sequence cannot be bound; PostgreSQL itself gave it, quoted.
        row = connection.execute(text(f"SELECT last_value, is_called FROM {sequence}")).one()
        if row.is_called:
            found[name] = int(row.last_value)
    return found


def load(connection: Connection, table: Table, lines: bytes) -> int:
    """Insert a batch of `dumped` into a table of whatever schema version; return how many rows."""
    names, *rows = map(json.loads, lines.splitlines())
    moments = {name for name in names if issubclass(table.columns[name].type.python_type, datetime)}
    values = [
        {
            name: datetime.fromisoformat(value) if value and name in moments else value
            for name, value in zip(names, row, strict=True)
        }
        for row in rows
    ]
    connection.execute(table.insert(), values)
    return len(values)


def set_last_ids(connection: Connection, given: Mapping[str, int]) -> None:
    """Have every table go on after the last id that it gave."""
    for name, last in given.items():
        values: dict[str, Any] = {"name": name, "last": last}
        if connection.dialect.name == "sqlite":
            connection.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), values)
            connection.execute(text("INSERT INTO sqlite_sequence VALUES (:name, :last)"), values)
        else:
            connection.execute(
                text("SELECT setval(pg_get_serial_sequence(:name, 'id'), :last)"), values
            )


def tables(connection: Connection) -> dict[str, Table]:
    """Map the names of the tables that are there, of whatever schema version, to their like."""
    found = MetaData()
    found.reflect(connection)
    return {name: table for name, table in found.tables.items() if name != "alembic_version"}


def is_empty(connection: Connection) -> bool:
    """Tell whether a database has no row of ours."""
    ours = set(Base.metadata.tables) & set(inspect(connection).get_table_names())
    return not any(
        connection.scalar(select(select(Base.metadata.tables[name].c[0]).exists()))
        for name in sorted(ours)
    )


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"a column holds a {type(value).__name__}, which a backup cannot")
