"""A pool of child processes that is there while somebody needs it, and gone a while later."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from inference.isolation import IsolatedPool

T = TypeVar("T")


class PoolOnDemand:
    """Starts child processes at the first call; ends them when nobody calls for `idle_seconds`.

    `ended` is called then.
    """

    def __init__(
        self,
        processes: int,
        *,
        timeout_seconds: float,
        memory_bytes: int,
        idle_seconds: float,
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        self._start: Callable[[], IsolatedPool] = functools.partial(
            IsolatedPool, processes, timeout_seconds=timeout_seconds, memory_bytes=memory_bytes
        )
        self._idle_seconds = idle_seconds
        self._ended = ended
        self._lock = threading.Lock()
        self._pool: IsolatedPool | None = None
        self._calls = 0
        self._timer: threading.Timer | None = None
        self._closed = False

    def run(self, function: Callable[..., T], *args: Any, key: str | None = None) -> T:
        """Return `function(*args)`, which a child process computes; see `IsolatedPool.submit`.

        Raises:
            ChildFailedError: the child process failed.
        """
        with self._lock:
            if self._closed:
                raise RuntimeError("The pool of child processes is closed.")
            self._stop_timer()
            if self._pool is None:
                self._pool = self._start()
            pool = self._pool
            self._calls += 1
        try:
            return pool.submit(function, *args, key=key).result()
        finally:
            with self._lock:
                self._calls -= 1
                if not self._calls and not self._closed:
                    self._timer = threading.Timer(self._idle_seconds, self._end_if_idle)
                    self._timer.daemon = True
                    self._timer.start()

    @property
    def running(self) -> bool:
        """Whether there are child processes now."""
        return self._pool is not None

    def close(self) -> None:
        """End the child processes; what they were at fails, and nothing is begun any more."""
        with self._lock:
            self._closed = True
            self._stop_timer()
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def _end_if_idle(self) -> None:
        with self._lock:
            if self._calls or self._pool is None:
                return
            pool, self._pool = self._pool, None
        pool.close()
        self._ended()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
