"""The one way to the database: engine, transactions, and the clock that leases go by."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from sqlalchemy import Engine, create_engine, func, make_url, select
from sqlalchemy.orm import Session

from db import sqlite

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
        self.engine = sqlite.engine_of(url) if self.is_sqlite else _postgres_engine(url)
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


def _postgres_engine(url: str) -> Engine:
    # What the URL says itself stands. A connection that broke while it lay in the pool is replaced.
    given = make_url(url).query
    arguments = {key: value for key, value in _GONE_SERVER.items() if key not in given}
    return create_engine(
        url, connect_args=arguments, pool_pre_ping=True, pool_size=8, max_overflow=8
    )
