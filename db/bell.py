"""A bell for who waits for tasks: PostgreSQL rings it (LISTEN/NOTIFY) when a task is there.

It only spares waiting. Who waits looks into the queue by itself too, a little later: for tasks
whose time comes, with SQLite, which has no such bell, and while the server cannot be reached.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from db.session import Database
from db.states import TaskKind

_log = logging.getLogger(__name__)

CHANNEL = "hilum_task"
HEARD_SECONDS = 1.0
"""How long who waits trusts in the bell before it looks by itself."""
_STOP_SECONDS = 0.1
"""How often who waits sees whether it shall stop."""
_LISTEN_SECONDS = 0.5
_ASK_SECONDS = 30.0
"""A server that says nothing for so long is asked whether it is still there."""
_RECONNECT_SECONDS = 1.0


def ring(session: Session, kind: TaskKind, lane: str = "") -> None:
    """Wake who waits for tasks of a kind and lane, once this transaction is committed."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_notify(CHANNEL, _message(kind, lane))))


class Waiter:
    """Who waits for tasks of certain kinds: one thread, which looks for them between its waits."""

    def __init__(self, bell: Bell) -> None:
        self._bell = bell
        self._rung = threading.Event()

    def wait(self, stop: threading.Event, seconds: float) -> None:
        """Wait until there may be a task, or `stop` is set.

        That is when it rang, after this wait began or since the one before ended; else after
        `seconds`, or `HEARD_SECONDS` while the bell would ring.
        """
        longest = max(seconds, HEARD_SECONDS) if self._bell.hears else seconds
        deadline = time.monotonic() + longest
        while not stop.is_set() and (left := deadline - time.monotonic()) > 0:
            if self._rung.wait(min(left, _STOP_SECONDS)):
                break
        # Before the look that follows: what rings from now on ends the next wait.
        self._rung.clear()

    def wake(self) -> None:
        """End the wait, or the next one."""
        self._rung.set()


class Bell:
    """Listens in a thread, over a connection of its own that no pool counts.

    Where the connection ends (the server is restarted, another takes its place) it is made anew,
    and all who wait are woken, since what rang meanwhile was not heard. With SQLite it never rings.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._guard = threading.Lock()
        self._waiters: dict[str, list[Waiter]] = {}
        self._stop = threading.Event()
        self._hears = threading.Event()
        self._thread: threading.Thread | None = None
        if not database.is_sqlite:
            self._thread = threading.Thread(target=self._run, name="bell", daemon=True)
            self._thread.start()

    @property
    def hears(self) -> bool:
        """Whether the bell would ring now, as far as is known."""
        return self._hears.is_set()

    def waiter(self, *kinds: TaskKind, lane: str = "") -> Waiter:
        """Return who is woken for tasks of these kinds, in one lane."""
        waiter = Waiter(self)
        with self._guard:
            for kind in kinds:
                self._waiters.setdefault(_message(kind, lane), []).append(waiter)
        return waiter

    def close(self) -> None:
        """Stop listening."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        import psycopg

        told = False
        while not self._stop.is_set():
            try:
                with self._connected() as connection:
                    told = False
                    self._listen(connection)
            except (SQLAlchemyError, psycopg.Error) as error:
                if not told:
                    name = type(error).__name__
                    _log.warning("New tasks are noticed by looking alone: the database (%s).", name)
                told = True
            self._stop.wait(_RECONNECT_SECONDS)

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        """Connect as the pool does, listen, and have everybody look for what came before that."""
        pooled = self._database.engine.raw_connection()
        connection: Any = pooled.driver_connection
        pooled.detach()
        try:
            connection.autocommit = True
            connection.execute(f"LISTEN {CHANNEL}")
            self._hears.set()
            self._wake_all()
            yield connection
        finally:
            self._hears.clear()
            self._wake_all()
            connection.close()

    def _listen(self, connection: Any) -> None:
        heard = time.monotonic()
        while not self._stop.is_set():
            for each in connection.notifies(timeout=_LISTEN_SECONDS, stop_after=1):
                heard = time.monotonic()
                self._wake(each.payload)
            if time.monotonic() - heard > _ASK_SECONDS:
                connection.execute("SELECT 1")
                heard = time.monotonic()

    def _wake(self, message: str) -> None:
        with self._guard:
            waiters = list(self._waiters.get(message, ()))
        for waiter in waiters:
            waiter.wake()

    def _wake_all(self) -> None:
        with self._guard:
            messages = list(self._waiters)
        for message in messages:
            self._wake(message)


def _message(kind: TaskKind, lane: str) -> str:
    return f"{kind.value} {lane}"
