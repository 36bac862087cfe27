"""A thread that keeps leases alive while their owner works."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from sqlalchemy.exc import SQLAlchemyError

from db import queue
from db.session import Database

_log = logging.getLogger(__name__)


class LeaseKeeper:
    """Extends held leases every third of their length, until they are dropped."""

    def __init__(self, database: Database, *, lease_seconds: float) -> None:
        self._database = database
        self._seconds = lease_seconds
        self._held: dict[int, queue.Lease] = {}
        self._guard = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease-keeper", daemon=True)
        self._thread.start()

    def hold(self, leases: Sequence[queue.Lease]) -> None:
        """Keep these leases alive from now on."""
        with self._guard:
            self._held.update({lease.task_id: lease for lease in leases})

    def drop(self, leases: Sequence[queue.Lease]) -> None:
        """Leave these leases alone from now on."""
        with self._guard:
            for lease in leases:
                self._held.pop(lease.task_id, None)

    def close(self) -> None:
        """Stop the thread."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._seconds / 3):
            with self._guard:
                held = list(self._held.values())
            if not held:
                continue
            try:
                with self._database.write() as session:
                    now = self._database.now(session)
                    queue.extend(session, held, now=now, lease_seconds=self._seconds)
            except SQLAlchemyError:
                # The lease has two thirds of its time left: the next round tries again.
                _log.warning("The leases could not be extended: the database did not answer.")
