"""Where SQLite and PostgreSQL need a statement of their own."""

from __future__ import annotations

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from db.models import Base


def insert_or_ignore(session: Session, table: type[Base]) -> sqlite.Insert | postgresql.Insert:
    """Start an INSERT that does nothing where a row with the same unique key stands already."""
    if session.get_bind().dialect.name == "sqlite":
        return sqlite.insert(table).on_conflict_do_nothing()
    return postgresql.insert(table).on_conflict_do_nothing()
