"""The one way to the database: engine, transactions, and the clock that leases go by."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.orm import Session

BUSY_TIMEOUT_SECONDS = 60
_GONE_SERVER = {
    "connect_timeout": 10,
    "keepalives_idle": 20,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 40_000,
}
"""When a PostgreSQL server that fell silent (its machine lost power, the network is cut) counts as
gone: libpq's parameters, in seconds, the last in milliseconds. The system's own take 15 minutes."""

Clock = Callable[[], datetime]
"""Returns the present as an aware UTC datetime."""


class Database:
    """An engine with the rules that both SQLite and PostgreSQL need here.

    Args:
        url: SQLAlchemy URL, `sqlite:///…` or `postgresql+psycopg://…`.
        clock: what leases, delays and quiet times go by. By default PostgreSQL's own clock, which
            all machines share, and this machine's clock with SQLite. Tests hand in their own.
    """

    def __init__(self, url: str, *, clock: Clock | None = None) -> None:
        self.url = url
        self.is_sqlite = make_url(url).get_backend_name() == "sqlite"
        self._clock = clock
        self.engine = _sqlite_engine(url) if self.is_sqlite else _postgres_engine(url)
        self._writing = self.engine.execution_options(hilum_write=True)

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Open a transaction that will write; it commits at the end and rolls back on an error.

        On SQLite it takes the write lock at once, so that two writers wait instead of failing.
        """
        with Session(self._writing, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a transaction that only reads."""
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    def now(self, session: Session) -> datetime:
        """Return the present, aware and in UTC."""
        if self._clock is not None:
            return self._clock()
        if self.is_sqlite:
            return datetime.now(UTC)
        moment = session.scalar(select(func.clock_timestamp()))
        assert isinstance(moment, datetime)
        return moment.astimezone(UTC)

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def journal_mode(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> str:
    """Return the journal mode that is safe with an SQLite version.

    Versions from 3.7.0 to 3.51.2 can corrupt a database when a WAL is reset while another
    connection reads (fixed in 3.51.3, 3.50.7 and 3.44.6), so these get the rollback journal.
    """
    fixed = (
        version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)
    )
    return "WAL" if fixed else "TRUNCATE"


def _sqlite_engine(url: str) -> Engine:
    engine = create_engine(
        url,
        connect_args={
            "timeout": BUSY_TIMEOUT_SECONDS,
            "check_same_thread": False,
            # Lists of ids make many statements that differ in length alone; of the 128 that would
            # be kept prepared, each takes up to 40 KB, for every connection.
            "cached_statements": 32,
        },
        # The connection used last comes first: each has caches of its own, of pages (2 MB) and of
        # statements, and those that are not needed at the same time are not filled.
        pool_use_lifo=True,
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _record: object) -> None:
        # SQLAlchemy emits BEGIN itself (below); the driver must not.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute(f"PRAGMA journal_mode = {journal_mode()}")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("hilum_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _postgres_engine(url: str) -> Engine:
    # What the URL says itself stands. A connection that broke while it lay in the pool is replaced.
    given = make_url(url).query
    arguments = {key: value for key, value in _GONE_SERVER.items() if key not in given}
    return create_engine(
        url, connect_args=arguments, pool_pre_ping=True, pool_size=8, max_overflow=8
    )
