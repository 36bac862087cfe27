"""The body parts of a multipart message (RFC 2046), read as its bytes come."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from scp_service.dicomweb.spool import Spool

DICOM = "application/dicom"
_LONGEST_BOUNDARY = 250
"""In characters. RFC 2046 5.1.1 allows 70, but Orthanc sends 73."""
_MOST_HEADERS = 32
"""Of one part; each may have 4 KiB."""


class MultipartError(Exception):
    """A message is no multipart message as it should be; says why."""


class TooManyPartsError(Exception):
    """A message has more parts than are allowed."""


def media_type(header: str) -> tuple[str, dict[str, str]]:
    """Split a Content-Type into media type, in lower case, and parameters (RFC 9110 8.3)."""
    kind, options = parse_options_header(header)
    return (
        kind.decode("latin-1").lower(),
        {name.decode("latin-1"): value.decode("latin-1") for name, value in options.items()},
    )


@dataclass(frozen=True, slots=True)
class Part:
    """One body part: its media type, "" where it has none, and its content."""

    media_type: str
    spool: Spool


class PartReader:
    """Reads a message piece by piece; whole parts are taken away by `take`.

    Args:
        boundary: the boundary parameter of the message's Content-Type.
        folder: where parts are put down.
        part_bytes: how large a part may be; a larger one is there, and marked as failed.
        most_parts: how many parts the message may have.

    Raises:
        MultipartError: there is no such boundary.
    """

    def __init__(self, boundary: str, folder: Path, *, part_bytes: int, most_parts: int) -> None:
        if not 1 <= len(boundary) <= _LONGEST_BOUNDARY or not boundary.isascii():
            raise MultipartError("its Content-Type has no boundary, or one that is far too long")
        self._folder = folder
        self._part_bytes = part_bytes
        self._most_parts = most_parts
        self._count = 0
        self._finished: list[Part] = []
        self._current: Spool | None = None
        self._headers: dict[bytes, bytes] = {}
        self._name = self._value = b""
        self._ended = False
        self._parser = MultipartParser(
            boundary.encode("ascii"),
            {
                "on_part_begin": self._begin_part,
                "on_header_begin": self._begin_header,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._begin_content,
                "on_part_data": self._content,
                "on_part_end": self._end_part,
                "on_end": self._end,
            },
            max_header_count=_MOST_HEADERS,
        )

    def feed(self, data: bytes) -> None:
        """Read on.

        Raises:
            MultipartError: it is no multipart message.
            TooManyPartsError: it has more parts than allowed.
        """
        try:
            self._parser.write(data)
        except FormParserError:
            raise MultipartError("the body is no multipart message with its boundary") from None

    def take(self) -> list[Part]:
        """Return the parts that are whole, each once; whoever takes them closes their spools."""
        taken, self._finished = self._finished, []
        return taken

    def finish(self) -> None:
        """Say that the message has ended.

        Raises:
            MultipartError: it ended before its closing boundary.
        """
        if not self._ended:
            raise MultipartError("the body ended before its closing boundary")

    def close(self) -> None:
        """Drop what was not taken."""
        for spool in [part.spool for part in self.take()] + [self._current]:
            if spool is not None:
                spool.close()

    def _begin_part(self) -> None:
        self._count += 1
        if self._count > self._most_parts:
            raise TooManyPartsError(f"it has more than {self._most_parts} parts")
        self._headers = {}

    def _begin_header(self) -> None:
        self._name = self._value = b""

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        self._headers[self._name.lower()] = self._value

    def _begin_content(self) -> None:
        self._current = Spool(self._folder, self._part_bytes)

    def _content(self, data: bytes, start: int, end: int) -> None:
        assert self._current is not None
        self._current.write(data[start:end])

    def _end_part(self) -> None:
        assert self._current is not None
        kind, _ = media_type(self._headers.get(b"content-type", b"").decode("latin-1"))
        self._finished.append(Part(kind, self._current))
        self._current = None

    def _end(self) -> None:
        self._ended = True


class SingleFile:
    """A body that is one DICOM file, read as a message of one part."""

    def __init__(self, spool: Spool) -> None:
        self._spool: Spool | None = spool
        self._whole = False

    def feed(self, data: bytes) -> None:
        """Read on."""
        if self._spool is not None:
            self._spool.write(data)

    def finish(self) -> None:
        """Say that the body has ended."""
        self._whole = True

    def take(self) -> list[Part]:
        """Return the file, once it is whole."""
        if not self._whole or self._spool is None:
            return []
        part, self._spool = Part(DICOM, self._spool), None
        return [part]

    def close(self) -> None:
        """Drop what was not taken."""
        if self._spool is not None:
            self._spool.close()
