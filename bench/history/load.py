"""Rows into a database as fast as it takes them: SQLite's executemany, PostgreSQL's COPY."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from datetime import datetime

import psycopg
from sqlalchemy import make_url

from bench.history.made import TABLES, Batch, Row
from db import sqlite
from db.models import Base
from db.session import Database


def load(database: Database, batches: Iterable[Batch]) -> None:
    """Fill the empty tables of a database.

    PostgreSQL's planner gets its statistics at the end, as autovacuum sees to it; SQLite's has
    none, as in the service.
    """
    if database.is_sqlite:
        _into_sqlite(database, batches)
    else:
        _into_postgres(database, batches)


def _into_sqlite(database: Database, batches: Iterable[Batch]) -> None:
    file = make_url(database.url).database
    assert file is not None
    with closing(sqlite.connect(file)) as connection:
        for setting in ("synchronous = OFF", "cache_size = -1000000", "foreign_keys = OFF"):
            connection.execute(f"PRAGMA {setting}")
        for batch in batches:
            connection.execute("BEGIN IMMEDIATE")
            for table, rows in batch.items():
                columns = TABLES[table]
                marks = ", ".join("?" * len(columns))
                connection.executemany(
                    f"INSERT INTO {table.__tablename__} ({', '.join(columns)}) VALUES ({marks})",
                    map(_for_sqlite, rows),
                )
            connection.execute("COMMIT")


def _for_sqlite(row: Row) -> list[object]:
    """Make times the text that SQLAlchemy makes of them."""
    return [
        value.replace(tzinfo=None).isoformat(" ", "microseconds")
        if isinstance(value, datetime)
        else value
        for value in row
    ]


def _into_postgres(database: Database, batches: Iterable[Batch]) -> None:
    address = database.url.replace("+psycopg", "")
    with psycopg.connect(address, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")
        for batch in batches:
            with connection.transaction():
                for table, rows in batch.items():
                    names = ", ".join(f'"{column}"' for column in TABLES[table])
                    statement = f"COPY {table.__tablename__} ({names}) FROM STDIN"
                    with cursor.copy(statement.encode()) as copy:
                        for row in rows:
                            copy.write_row(row)
        for table in TABLES:
            _set_sequence(cursor, table)
        cursor.execute("VACUUM ANALYZE")


def _set_sequence(cursor: psycopg.Cursor[tuple[object, ...]], table: type[Base]) -> None:
    """Have the next id be one that was not given."""
    if "id" in TABLES[table]:
        name = table.__tablename__
        cursor.execute(
            f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), coalesce(max(id), 1))"
            f" FROM {name}".encode()
        )
