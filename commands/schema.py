"""`hilum schema`: which version the database has, and the way back to an older one."""

from __future__ import annotations

from contextlib import closing

from db import migrations
from db.session import Database
from settings import Settings


def version(settings: Settings) -> str:
    """Return the version of the database's schema, as text for people."""
    with closing(Database(settings.database)) as database, database.engine.connect() as connection:
        return migrations.version(connection) or "no tables yet"


def take_back(settings: Settings, to: str) -> None:
    """Make the schema that of an older version.

    Raises:
        SchemaError: there is no way back to this version.
    """
    with closing(Database(settings.database)) as database:
        migrations.take_back(database, settings.data_path, to)
