"""Where SQLite and PostgreSQL need a statement of their own."""

from __future__ import annotations

from enum import IntEnum
from functools import cache

from sqlalchemy import Table, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from db.models import Base


def insert_or_ignore(
    session: Session, table: type[Base] | Table
) -> sqlite.Insert | postgresql.Insert:
    """Start an INSERT that does nothing where a row with the same unique key stands already.

    On a table it is several times as fast as on the class that is mapped to it, which is for those
    who have objects returned.
    """
    return _insert_or_ignore(session.get_bind().dialect.name, table)


@cache
def _insert_or_ignore(dialect: str, table: type[Base] | Table) -> sqlite.Insert | postgresql.Insert:
    insert = sqlite.insert if dialect == "sqlite" else postgresql.insert
    return insert(table).on_conflict_do_nothing()


class Turn(IntEnum):
    """What is decided by one transaction at a time, by the number of its lock in PostgreSQL."""

    CONFIGURATION = 1
    BUNDLES = 2
    PAUSES = 3
    USERS = 4
    LOGINS = 5


_TURNS = 0x48494C
"""Sets these locks apart from others of the database."""


def in_turn(session: Session, turn: Turn) -> None:
    """Wait until no other transaction decides the same; it is ours until this one ends.

    SQLite has one writer at a time as it is.
    """
    if session.get_bind().dialect.name != "sqlite":
        session.execute(
            text("SELECT pg_advisory_xact_lock(:ours, :turn)"), {"ours": _TURNS, "turn": int(turn)}
        )
