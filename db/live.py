"""The settings in effect while a process runs: those of its start, and what the console changed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from db import changes
from db.session import Database
from settings import Loaded, Settings, SettingsError
from settings.layers import with_layers

_log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
"""How often the database is asked whether anything was changed, at most."""


class Live:
    """Asked for the settings, it returns those of now; safe to be asked by many threads.

    A change that does not fit (any more), and a database that does not answer, leave what was in
    effect before, and are told in the log.
    """

    def __init__(
        self,
        loaded: Loaded,
        database: Database,
        *,
        look_seconds: float = LOOK_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._base = loaded
        self._database = database
        self._now = loaded
        self._seen = 0
        self._every = look_seconds
        self._clock = clock
        self._looked: float | None = None
        self._lock = threading.Lock()

    @property
    def base(self) -> Loaded:
        """The settings of the start, without what the console changed."""
        return self._base

    @property
    def loaded(self) -> Loaded:
        """The settings in effect, with where each comes from."""
        self._look()
        return self._now

    def __call__(self) -> Settings:
        """Return the settings in effect."""
        return self.loaded.settings

    def take_up(self) -> None:
        """Look now, whenever that was done last.

        Raises:
            SettingsError: what was changed in the console does not fit.
            SQLAlchemyError: the database does not answer.
        """
        with self._lock:
            self._take_up()

    def _look(self) -> None:
        if self._looked is not None and self._clock() - self._looked < self._every:
            return
        if not self._lock.acquire(blocking=False):
            return  # another thread is at it
        try:
            self._take_up()
        except SettingsError as error:
            _log.error("What was changed in the console does not fit: %s", error)
        except SQLAlchemyError as error:
            name = type(error).__name__
            _log.error("It is not known what was changed in the console: the database (%s).", name)
        finally:
            self._lock.release()

    def _take_up(self) -> None:
        self._looked = self._clock()
        with self._database.read() as session:
            last = changes.last_id(session)
            if last == self._seen:
                return
            layers = changes.layers(session)
        self._seen = last  # what does not fit is told once, not every two seconds
        self._now = with_layers(self._base, layers)
