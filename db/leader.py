"""One of any number of schedulers leads, and alone does what must not be done twice.

Who leads holds a lock that ends with the process: PostgreSQL's advisory lock of a session, or with
SQLite, which is of one machine, a lock on a file of the data folder. So nobody leads for the dead.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from db.files import FILE_MODE
from db.session import Database

_log = logging.getLogger(__name__)

_FILE = "leader.lock"
_POSTGRES_LOCK = 0x48494C4C  # "HILL": as `db.migrations` has one of its own
SILENT_SECONDS = 120
"""PostgreSQL ends the session of a leader that asks nothing for this long: its machine is gone or
it was stopped. So `leads` is to be asked several times in it."""
_LIMITS_SESSIONS = (14,)
"""The first version of PostgreSQL that knows `idle_session_timeout`."""


class Leader:
    """Whether this process leads. Any thread may ask.

    Args:
        database: the one that the schedulers share.
        folder: the data folder.
    """

    def __init__(self, database: Database, folder: Path) -> None:
        self._database = database
        self._path = folder / _FILE
        self._guard = threading.Lock()
        self._file: int | None = None
        self._session: Connection | None = None

    def leads(self) -> bool:
        """Tell whether this process leads; it does from now on where nobody does.

        Raises:
            SQLAlchemyError: the database does not answer; then somebody else may lead.
            OSError: the data folder cannot be used.
        """
        with self._guard:
            return self._holds_file() if self._database.is_sqlite else self._holds_lock()

    def close(self) -> None:
        """Leave it to others."""
        with self._guard:
            if self._file is not None:
                os.close(self._file)
                self._file = None
            self._end_session()

    def _holds_file(self) -> bool:
        if self._file is not None:
            return True
        file = os.open(self._path, os.O_CREAT | os.O_RDWR, FILE_MODE)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        self._file = file
        return True

    def _holds_lock(self) -> bool:
        """Ask over the session that holds the lock: where it has ended, so has the lock."""
        if self._session is not None:
            try:
                self._session.execute(text("SELECT 1"))
            except SQLAlchemyError:
                self._end_session()
                _log.warning("The database ended the session by which this process led.")
            else:
                return True
        session = self._database.engine.connect()
        try:
            session = session.execution_options(isolation_level="AUTOCOMMIT")
            taken = session.scalar(
                text("SELECT pg_try_advisory_lock(:key)"), {"key": _POSTGRES_LOCK}
            )
            if taken and (session.dialect.server_version_info or ()) >= _LIMITS_SESSIONS:
                session.execute(text(f"SET idle_session_timeout = '{SILENT_SECONDS}s'"))
        except BaseException:
            session.invalidate()
            session.close()
            raise
        if not taken:
            session.close()
            return False
        self._session = session
        return True

    def _end_session(self) -> None:
        """Close the connection for good: in the pool it would keep lock and time limit."""
        if self._session is not None:
            self._session.invalidate()
            self._session.close()
            self._session = None
