"""What every table shares: the base class, and the rule that an id is used once."""

from __future__ import annotations

from typing import Any

from sqlalchemy import MetaData, Table
from sqlalchemy.orm import DeclarativeBase

IDS_ARE_USED_ONCE = {"sqlite_autoincrement": True}
"""SQLite would give a deleted row's id to the next one; leases, tasks and events go by ids."""


class Base(DeclarativeBase):
    """All tables."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


def table_of(kind: type[Base]) -> Table:
    """Return the table of a mapped class.

    Statements on it skip the mapping, which takes longer than SQLite does: for the few that run for
    every film.
    """
    table = kind.__table__
    assert isinstance(table, Table)
    return table


def columns_of(row: Base) -> dict[str, Any]:
    """Return a row's columns as a plain dictionary, in table order, without what the database makes
    of other columns."""
    return {
        column.key: getattr(row, column.key)
        for column in row.__mapper__.columns
        if column.computed is None
    }
