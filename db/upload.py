"""What waits in the data folder goes into the bucket, and what is unwanted there goes away.

Every process that uses the files has the thread; one process of a machine at a time does the work.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from db.files import FILE_MODE, PARTIAL, AwayError
from db.models import Instance, Result
from db.objects import UNWANTED, ObjectStore
from db.session import Database

_log = logging.getLogger(__name__)

_TURN_SECONDS = 2.0
_LATE_PUT_SECONDS = 60.0
"""How long a put that was given up may still arrive."""
_ROW_SECONDS = 3600.0
"""How long a result may lie here before its row is committed."""


@contextmanager
def uploading(database: Database, store: ObjectStore) -> Iterator[None]:
    """Upload in a thread until the context ends; what is left then waits for the next start."""
    stop = threading.Event()
    uploader = Uploader(database, store)
    thread = threading.Thread(target=uploader.run, args=(stop,), name="upload", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


class Uploader:
    """Moves files from the data folder to the bucket."""

    def __init__(self, database: Database, store: ObjectStore) -> None:
        self._database = database
        self._store = store
        self._told = 0

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set; a store or database that fails is tried again."""
        while not stop.is_set():
            try:
                self.turn(stop)
            except AwayError as error:
                _log.warning("Files wait in the data folder: %s.", error)
                stop.wait(_TURN_SECONDS * 4)
            except SQLAlchemyError as error:
                _log.warning("Uploading waits: the database failed (%s).", type(error).__name__)
            except OSError as error:
                _log.error("Uploading waits: the data folder (%s).", error.strerror)
            stop.wait(_TURN_SECONDS)

    def turn(self, stop: threading.Event) -> int:
        """Upload what waits, unless another process is at it; return how many files went.

        Raises:
            AwayError: the store does not answer.
            SQLAlchemyError, OSError: the database or the data folder failed.
        """
        lock = os.open(self._store.root / "upload.lock", os.O_CREAT | os.O_RDWR, FILE_MODE)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0
        else:
            self._delete_unwanted(stop)
            return self._upload(stop)
        finally:
            os.close(lock)

    def _upload(self, stop: threading.Event) -> int:
        done = unknown = 0
        for path in self._store.waiting():
            if stop.is_set():
                return done
            relative = str(path.relative_to(self._store.root))
            if self._is_coming(relative):
                continue
            if not self._is_known(relative):
                unknown += path.stat().st_mtime < time.time() - _ROW_SECONDS
                continue
            try:
                data = path.read_bytes()
            except FileNotFoundError:  # erased meanwhile
                continue
            self._store.bucket.put(relative, data, seconds=self._store.bucket.seconds)
            try:
                path.unlink()
            except FileNotFoundError:  # erased while it was put
                self._store.bucket.delete(relative)
                continue
            done += 1
        self._tell(done, unknown)
        return done

    def _delete_unwanted(self, stop: threading.Event) -> None:
        """Delete the objects of films that no row names, once no late put can bring them back."""
        before = time.time() - _LATE_PUT_SECONDS
        for mark in (self._store.root / UNWANTED).glob(f"*{PARTIAL}"):
            if stop.is_set() or mark.stat().st_mtime > before:
                continue
            for relative in self._store.parts_films(mark):
                if not self._is_known(relative):
                    self._store.bucket.delete(relative)
            mark.unlink()

    def _is_coming(self, relative: str) -> bool:
        """Tell whether a film is on its way in, its row not committed yet."""
        name = self._store.part_name(relative)
        return any((self._store.root / "incoming").glob(f"*/{name}"))

    def _is_known(self, relative: str) -> bool:
        table = Instance if relative.startswith("films/") else Result
        with self._database.read() as session:
            return session.scalar(select(table.id).where(table.path == relative)) is not None

    def _tell(self, done: int, unknown: int) -> None:
        if done:
            _log.info("%d files went from the data folder into the bucket.", done)
        if unknown > self._told:
            _log.warning("%d files of the data folder are named by no row, and stay.", unknown)
        self._told = unknown
