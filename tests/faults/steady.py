"""A sender that never stops: film after film until it is acknowledged, then all of them again."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread

from scp_service.answer import PeerError
from scp_service.store_scu import Peer, associated
from tests.peers import wait_until

REJECTED = "association"
_PAUSE_SECONDS = 0.05
_ANSWER_SECONDS = 90


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A film that was answered with 0x0000, and when (`time.monotonic`)."""

    sop_instance_uid: str
    at: float


class SteadySender:
    """Films on their way in; what was refused comes again over a new association.

    When all have been acknowledged they are sent again, so that there is never nothing to send.
    """

    def __init__(self, films: Sequence[Path], port: int) -> None:
        self._films = films
        self._peer = Peer("127.0.0.1", port, "HILUM", "STEADY", _ANSWER_SECONDS)
        self._stop = threading.Event()
        self.acknowledged: list[Acknowledged] = []
        self.refused: Counter[str] = Counter()
        """How often each status came (four hexadecimal digits), or no association (`REJECTED`)."""

    @property
    def uids(self) -> set[str]:
        """What has been acknowledged."""
        return {each.sop_instance_uid for each in self.acknowledged}

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Send in a thread until the end of the block."""
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def wait_for_next(self, *, seconds: float = 60) -> float:
        """Wait until one more film is acknowledged; return the seconds that it took."""
        begin, before = time.monotonic(), len(self.acknowledged)
        wait_until(lambda: len(self.acknowledged) > before, "an acknowledged film", seconds=seconds)
        return self.acknowledged[before].at - begin

    def wait_for_refusal(self, *, seconds: float = 60) -> None:
        """Wait until one more film, or an association, is refused."""
        before = self.refused.total()
        wait_until(lambda: self.refused.total() > before, "a refused film", seconds=seconds)

    def wait_for_all(self, *, seconds: float = 120) -> None:
        """Wait until every film is acknowledged."""
        wait_until(lambda: len(self.uids) == len(self._films), "all films", seconds=seconds)

    def _run(self) -> None:
        left: list[Path] = []
        while not self._stop.is_set():
            left = left or list(self._films)
            try:
                self._associate(left)
            except PeerError:
                self.refused[REJECTED] += 1
                self._stop.wait(_PAUSE_SECONDS)

    def _associate(self, left: list[Path]) -> None:
        """Send over one association for as long as films are taken."""
        meta = dcmread(left[0], stop_before_pixels=True).file_meta
        context = (str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID))
        with associated(self._peer, [context]) as peer:
            while left and not self._stop.is_set():
                answer = peer.store(left[0])
                if answer.status != 0x0000:
                    self.refused[f"{answer.status:04X}"] += 1
                    self._stop.wait(_PAUSE_SECONDS)
                    return
                uid = dcmread(left.pop(0), stop_before_pixels=True).SOPInstanceUID
                self.acknowledged.append(Acknowledged(str(uid), time.monotonic()))
