"""A sender that behaves as a PACS does: what was not acknowledged is sent again."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydicom import dcmread

from tests.peers import dcmsend, wait_until

_RESPONSE = re.compile(
    r"Message Type +: C-STORE RSP$.*?"
    r"Affected SOP Instance UID +: (?P<uid>[0-9.]+)$.*?"
    r"DIMSE Status +: (?P<status>0x[0-9a-f]{4})",
    re.DOTALL | re.MULTILINE,
)


def answers(output: str) -> list[tuple[str, str]]:
    """Return the C-STORE responses that a sender of DCMTK was given: UID and status, in order."""
    return [(found["uid"], found["status"]) for found in _RESPONSE.finditer(output)]


class Sender:
    """Films, and which of them have been answered with 0x0000."""

    def __init__(self, films: Sequence[Path], port: int) -> None:
        self._port = port
        self.films: Mapping[str, Path] = {
            str(dcmread(path, stop_before_pixels=True).SOPInstanceUID): path for path in films
        }
        self.acknowledged: set[str] = set()

    def left(self, first: int | None = None) -> list[Path]:
        """Return those of the first films that are not acknowledged yet."""
        known = list(self.films.items())[:first]
        return [path for uid, path in known if uid not in self.acknowledged]

    def send(self, films: Sequence[Path]) -> int:
        """Send over one association; return how many were acknowledged this time."""
        if not films:
            return 0
        output = dcmsend(films, self._port, options=("-d", "-dn", "--no-halt")).output
        stored = {uid for uid, status in answers(output) if status == "0x0000"}
        assert stored <= set(self.films), "an answer to what was not sent"
        self.acknowledged |= stored
        return len(stored)

    def send_all(self, *, seconds: float = 300) -> None:
        """Send until all are acknowledged."""

        def done() -> bool:
            self.send(self.left())
            return not self.left()

        wait_until(done, "all films to be acknowledged", seconds=seconds)
