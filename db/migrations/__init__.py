"""Schema versions, and the way from one to the next.

Alembic is loaded only where there is a way to go: each role looks at the version as it starts, and
need not pay for what it would take to change it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from db.files import exclusive
from db.session import Database

if TYPE_CHECKING:
    from alembic.config import Config

_VERSIONS = Path(__file__).parent / "versions"
_POSTGRES_LOCK = 0x48494C55  # "HILU": any fixed number that all of our programs share


class SchemaError(Exception):
    """The database's schema does not fit this program; the message says what to do."""


def upgrade(database: Database, lock_folder: Path, to: str = "head") -> None:
    """Bring the schema to this program's version; programs that start together wait in turn.

    `to` names another version, which an empty database is to have for rows of that time.

    Raises:
        SchemaError: the database was made by a newer program.
    """
    with _one_at_a_time(database, lock_folder), database.engine.connect() as connection:
        if version(connection) == newest():
            return
        _refuse_newer(connection)
        connection.rollback()
        from alembic import command

        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, to)


def check(database: Database) -> None:
    """Make sure that the schema is this program's.

    Raises:
        SchemaError: it is older, newer or missing.
    """
    with database.engine.connect() as connection:
        if version(connection) == newest():
            return
        _refuse_newer(connection)
    raise SchemaError(
        "The database has no tables of this version yet; `hilum serve` makes or upgrades them."
    )


def version(connection: Connection) -> str | None:
    """Return the version of a database's schema; None where it has no tables of ours."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def newest() -> str:
    """Return this program's schema version."""
    return max(_versions())


def is_known(version: str) -> bool:
    """Tell whether a schema version is this program's or an earlier one."""
    return version in _versions()


def take_back(database: Database, lock_folder: Path, to: str) -> None:
    """Bring the schema back to an older version, with all that that version knows.

    Nothing else may use the database meanwhile; afterwards it is for the program of that version.

    Raises:
        SchemaError: there is no such version, or the database is not newer than it.
    """
    from alembic import command
    from alembic.script import ScriptDirectory

    config = _config()
    scripts = ScriptDirectory.from_config(config)
    with _one_at_a_time(database, lock_folder), database.engine.connect() as connection:
        present = version(connection)
        _refuse_newer(connection)
        connection.rollback()
        older = [each.revision for each in scripts.iterate_revisions(present, "base")][1:]
        if to not in older:
            raise SchemaError(
                f"The schema cannot go from version {present} back to {to}; it can go back to"
                f" {', '.join(older) or 'none'}."
            )
        config.attributes["connection"] = connection
        command.downgrade(config, to)


def _versions() -> set[str]:
    """Name all versions: each has a file that begins with its number."""
    return {path.name.partition("_")[0] for path in _VERSIONS.glob("[0-9]*_*.py")}


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    return config


def _refuse_newer(connection: Connection) -> None:
    found = version(connection)
    if found is not None and not is_known(found):
        raise SchemaError(
            f"The database has schema version {found}, which is newer than this program; "
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
