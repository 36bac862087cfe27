"""The bytes of one film on their way in, on disk without a name: they go when this process does."""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_TOO_LARGE = "the data set is larger than is allowed here"
_NO_ROOM = "the film cannot be stored at the moment"


class Spool:
    """What has come of one film; it is not durable, and not yet acknowledged.

    Args:
        folder: where the bytes go.
        limit: how many bytes the film may have.

    Attributes:
        failure: why what came could not be taken down; then it holds nothing, and takes nothing.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self.failure: str | None = None
        try:
            self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
        except OSError:
            self.failure = _NO_ROOM

    def write(self, data: bytes) -> None:
        """Take down what has come."""
        if self.failure is not None:
            return
        self._size += len(data)
        if self._size > self._limit:
            self._fail(_TOO_LARGE)
            return
        try:
            view = memoryview(data)
            while view:
                view = view[self._file.write(view) :]
        except OSError:
            self._fail(_NO_ROOM)

    @contextmanager
    def content(self) -> Iterator[memoryview]:
        """Give all that has come, without having it all in memory."""
        if self._size == 0:
            yield memoryview(b"")
            return
        with (
            mmap.mmap(self._file.fileno(), self._size, access=mmap.ACCESS_READ) as mapped,
            memoryview(mapped) as view,
        ):
            yield view

    def close(self) -> None:
        """Drop what has come; does nothing the second time."""
        if self.failure is None:
            self._file.close()

    def _fail(self, why: str) -> None:
        self._file.close()
        self.failure = why
