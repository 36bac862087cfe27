"""What a header is read from: an encoded data set, of which no more is looked at than is worth it.

It is read as a file is. Of a deflated data set no more is inflated than is asked for, and of that
the last part alone is held.
"""

from __future__ import annotations

import os
import zlib

MOST_READS = 10_000
"""A film's header takes some hundreds; each takes microseconds, that of a sequence item tens."""
MOST_BYTES = 16 * 1024 * 1024
"""What may be read of a header; values that nobody asks for are passed over, not read."""
_PART = 256 * 1024
_DEFLATED_PART = 64 * 1024
_HELD = 1024 * 1024
"""How far one may go back in what was inflated."""


class UnreadableError(Exception):
    """A data set cannot be taken; the message says why and holds no patient data."""


class TooLargeError(Exception):
    """A data set is larger than the configured limit."""


class Encoded:
    """An encoded data set in memory, or in a file that is mapped there."""

    def __init__(self, data: bytes | memoryview) -> None:
        self._data = memoryview(data)
        self._at = 0
        self._reads = 0
        self._bytes = 0
        self.refusal: UnreadableError | TooLargeError | None = None
        """What `read` has raised, where it did: pydicom catches it in places."""

    def tell(self) -> int:
        """Return where the next read begins."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to another place, counted from the beginning, or (`whence` 1) from here."""
        self._at = offset + (self._at if whence == os.SEEK_CUR else 0)
        return self._at

    def read(self, size: int, /) -> bytes:
        """Read so many bytes, or as many as there are.

        Raises:
            UnreadableError: more was read than a film's header is worth, or it cannot be inflated.
            TooLargeError: it inflates to more than is allowed.
        """
        try:
            return self._read(size)
        except (UnreadableError, TooLargeError) as error:
            self.refusal = error
            raise

    def finish(self) -> None:
        """Look at what was not read, as far as it is to be held against a limit."""

    def _read(self, size: int) -> bytes:
        self._reads += 1
        if self._reads > MOST_READS:
            raise UnreadableError("the header holds too many elements or sequence items")
        part = self._part(self._at, self._at + size)
        self._at += len(part)
        self._bytes += len(part)
        if self._bytes > MOST_BYTES:
            raise UnreadableError("the header is far too long")
        return part

    def _part(self, start: int, end: int) -> bytes:
        # One byte above what may be read is enough to know that it is too much.
        return bytes(self._data[start : min(end, start + MOST_BYTES + 1)])


class Deflated(Encoded):
    """A deflated data set (PS3.5 A.5), as it is when inflated."""

    def __init__(self, data: bytes | memoryview, max_bytes: int) -> None:
        super().__init__(data)
        self._max_bytes = max_bytes
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._fed = 0
        self._size = 0  # of all that was inflated; `_held` is the last of it
        self._held = bytearray()

    def finish(self) -> None:
        """Inflate what is left, to know how much it is.

        Raises:
            UnreadableError: it cannot be inflated.
            TooLargeError: it inflates to more than is allowed.
        """
        while self._inflate():
            self._held.clear()

    def _part(self, start: int, end: int) -> bytes:
        end = min(end, start + MOST_BYTES + 1)
        begins = self._size - len(self._held)
        if start < begins:
            raise UnreadableError("the deflated data set cannot be parsed in one go")
        while self._size < end and self._inflate():
            spare = min(start, self._size - _HELD) - (self._size - len(self._held))
            if spare > 0:
                del self._held[:spare]
        begins = self._size - len(self._held)
        return bytes(self._held[max(0, start - begins) : max(0, end - begins)])

    def _inflate(self) -> bool:
        """Inflate one more part; False where there is none."""
        while not self._inflater.eof:
            # In parts, as what is not consumed of one is copied every time.
            fed = self._inflater.unconsumed_tail or self._next()
            try:
                part = self._inflater.decompress(fed, min(_PART, self._max_bytes + 1 - self._size))
            except zlib.error:
                raise UnreadableError("the deflated data set cannot be inflated") from None
            self._size += len(part)
            self._held += part
            if self._size > self._max_bytes:
                raise TooLargeError("the deflated data set inflates to more than is allowed")
            if part:
                return True
            if not fed:
                return False
        return False

    def _next(self) -> memoryview:
        fed = self._data[self._fed : self._fed + _DEFLATED_PART]
        self._fed += len(fed)
        return fed
