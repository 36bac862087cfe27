"""Kept files in the hands of child processes, which read them by path.

What lies in an object store is fetched before, in threads, so that the worker's loop never waits
for it, and no child's time is spent on it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from db.files import FileStore
from inference.isolation import IsolatedPool
from inference.report.build import StudyJob
from inference.worker.build import Built, build

T = TypeVar("T")

_AHEAD = 4
"""How many files are fetched while all children are busy."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A film: its path below the data folder, and the SHA-256 of its file."""

    path: str
    file_sha256: str


class NearPool:
    """Children that are given files of a store. `processes`: how many there are."""

    def __init__(self, pool: IsolatedPool, store: FileStore, processes: int) -> None:
        self._pool = pool
        self._store = store
        self._threads = (
            ThreadPoolExecutor(processes + _AHEAD, thread_name_prefix="near")
            if store.is_remote
            else None
        )

    def submit(self, films: Sequence[Kept], function: Callable[..., T], *args: object) -> Future[T]:
        """Have a child call `function(*args)` while the films are at their `near_path`."""
        begin = partial(self._pool.submit, function, *args, key=films[0].path)
        return begin() if self._threads is None else self._threads.submit(self._near, films, begin)

    def build(self, films: Sequence[Kept], job: StudyJob) -> Future[Built]:
        """Have a child build a report; its results go to where they are kept."""
        root = self._store.root
        if self._threads is None:
            return self.submit(films, build, job, root)
        begin = partial(self._pool.submit, build, job, root, key=films[0].path)
        return self._threads.submit(self._built, films, begin)

    def close(self) -> None:
        """Begin nothing any more; what is under way ends with the children."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    def _near(self, films: Sequence[Kept], begin: Callable[[], Future[T]]) -> T:
        with ExitStack() as near:
            for film in films:
                near.enter_context(self._store.near(film.path, film.file_sha256))
            return begin().result()

    def _built(self, films: Sequence[Kept], begin: Callable[[], Future[Built]]) -> Built:
        built = self._near(films, begin)
        self._store.hand_over(each.path for each in built.results)
        return built
