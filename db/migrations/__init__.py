"""Schema versions, and the way from one to the next."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from db.files import exclusive
from db.session import Database

_POSTGRES_LOCK = 0x48494C55  # "HILU": any fixed number that all of our programs share


class SchemaError(Exception):
    """The database's schema does not fit this program; the message says what to do."""


def upgrade(database: Database, lock_folder: Path) -> None:
    """Bring the schema to this program's version; programs that start together wait in turn.

    Raises:
        SchemaError: the database was made by a newer program.
    """
    config = _config()
    with _one_at_a_time(database, lock_folder), database.engine.connect() as connection:
        if _version(connection) == ScriptDirectory.from_config(config).get_current_head():
            return
        _refuse_newer(connection, config)
        connection.rollback()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def check(database: Database) -> None:
    """Make sure that the schema is this program's.

    Raises:
        SchemaError: it is older, newer or missing.
    """
    config = _config()
    with database.engine.connect() as connection:
        version = _version(connection)
        if version == ScriptDirectory.from_config(config).get_current_head():
            return
        _refuse_newer(connection, config)
    raise SchemaError(
        "The database has no tables of this version yet; `hilum serve` makes or upgrades them."
    )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    return config


def _version(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _refuse_newer(connection: Connection, config: Config) -> None:
    version = _version(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if version is not None and version not in known:
        raise SchemaError(
            f"The database has schema version {version}, which is newer than this program; "
            "use the program that made it, or restore a backup from before the upgrade."
        )


@contextmanager
def _one_at_a_time(database: Database, lock_folder: Path) -> Iterator[None]:
    if database.is_sqlite:
        with exclusive(lock_folder / "upgrade.lock"):
            yield
        return
    with database.engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _POSTGRES_LOCK})
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _POSTGRES_LOCK})
