"""Films sent at a set rate, whether or not the receiver keeps up: an open loop.

Each film has a due time, known before the first is sent. It goes over the first association that is
free from then on, and its latency counts from when it was due: a receiver that stops for a second
is late with all that fell due in it, not with the one film that it was asked for.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench import made_films
from bench.made_films import Kind
from tests.peers import wire
from tests.peers.wire import Wire

START_SECONDS = 0.2
ANSWER_SECONDS = 30.0
UNLIMITED_BYTES = 1 << 20
"""How long PDUs are for a receiver that does not limit them."""
_USER_INFORMATION, _MAXIMUM_LENGTH = 0x50, 0x51
_FRAGMENT_HEAD_BYTES = 6
_FIXED_PART_BYTES = 68


class RejectedError(Exception):
    """A receiver does not accept what a run needs."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A film: seconds from the start until it was due, begun to be sent, and answered.

    `begun` and `answered` are infinite where it was not begun before the run was given up, or never
    answered; `status` is None then.
    """

    due: float
    begun: float
    answered: float
    status: int | None

    @property
    def latency(self) -> float:
        """Seconds from when it was due to its answer."""
        return self.answered - self.due


def offer(
    port: int,
    kind: Kind,
    *,
    called: str,
    rate: float,
    films: int,
    associations: int,
    give_up_seconds: float,
) -> list[Sent]:
    """Send so many films, `rate` of them falling due a second; returns them in that order.

    All associations are open before the first is due. Films that have not been begun
    `give_up_seconds` after the last was due are not sent.

    Raises:
        RejectedError: an association was not accepted.
    """
    with contextlib.ExitStack() as stack:
        senders = [stack.enter_context(Sender(port, kind, called)) for _ in range(associations)]
        run = _Run(rate, films, give_up_seconds)
        threads = [threading.Thread(target=run.work, args=(each,)) for each in senders]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return run.sent()


@contextlib.contextmanager
def held(port: int, associations: int, *, called: str) -> Iterator[None]:
    """Hold so many associations open, each of which has sent a film of 130 KB.

    Raises:
        RejectedError: an association was not accepted, or a film not taken.
    """
    kind = made_films.small()
    with contextlib.ExitStack() as stack:
        for number in range(associations):
            sender = stack.enter_context(Sender(port, kind, called))
            if (status := sender.store()) != 0:
                raise RejectedError(f"film {number + 1} was answered with {status:04x}")
        yield


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share (0 to 1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


class Sender:
    """One association, opened anew where the receiver has ended it."""

    def __init__(self, port: int, kind: Kind, called: str) -> None:
        self._port = port
        self._kind = kind
        self._request = wire.associate_rq(
            called, contexts=((wire.CR_STORAGE, kind.transfer_syntax),), max_length=0
        )
        self._wire: Wire | None = None
        self._messages = itertools.cycle(range(1, 1 << 16))

    def __enter__(self) -> Sender:
        self._open()
        return self

    def __exit__(self, *_: object) -> None:
        if self._wire is None:
            return
        with contextlib.suppress(OSError):
            self._wire.send(wire.release_rq())
            self._wire.read()
        self._close()

    def store(self) -> int:
        """Send a film that was never sent before; return the status that it is answered with.

        Raises:
            OSError: the connection is lost or the receiver does not answer.
            RejectedError: there was none, and no new association was accepted.
        """
        to = self._wire or self._open()
        uid, data = self._kind.data_set()
        command = wire.store_rq(uid, next(self._messages), context_id=1)
        length = self._fragment_bytes
        starts = range(0, len(data), length)
        parts = [
            wire.fragment(1, data[at : at + length], command=False, last=at == starts[-1])
            for at in starts
        ]
        try:
            to.send(b"".join([command, *parts]))
            return to.status()
        except OSError:
            self._close()
            raise

    def _open(self) -> Wire:
        opened = Wire(self._port, seconds=ANSWER_SECONDS)
        kind, body = opened.ask(self._request)
        if kind != wire.ASSOCIATE_AC:
            opened.connection.close()
            raise RejectedError(f"an association was answered with a PDU of type {kind}")
        self._fragment_bytes = (_maximum_length(body) or UNLIMITED_BYTES) - _FRAGMENT_HEAD_BYTES
        self._wire = opened
        return opened

    def _close(self) -> None:
        if self._wire is not None:
            self._wire.connection.close()
            self._wire = None


class _Run:
    """The schedule that the associations of a run share, and what became of its films."""

    def __init__(self, rate: float, films: int, give_up_seconds: float) -> None:
        self._due = [number / rate for number in range(films)]
        self._sent: dict[int, Sent] = {}
        self._next = iter(range(films))
        self._lock = threading.Lock()
        self._start = time.perf_counter() + START_SECONDS
        self._give_up = self._due[-1] + give_up_seconds

    def work(self, sender: Sender) -> None:
        """Send what falls due next until nothing is left, over one association."""
        while (number := self._take()) is not None:
            due = self._due[number]
            time.sleep(max(0.0, due - self._now()))
            begun = self._now()
            if begun > self._give_up:
                continue
            try:
                status = sender.store()
            except (OSError, RejectedError):
                self._sent[number] = Sent(due, begun, math.inf, None)
            else:
                self._sent[number] = Sent(due, begun, self._now(), status)

    def sent(self) -> list[Sent]:
        """Return every film of the schedule."""
        return [
            self._sent.get(number) or Sent(due, math.inf, math.inf, None)
            for number, due in enumerate(self._due)
        ]

    def _take(self) -> int | None:
        with self._lock:
            return next(self._next, None)

    def _now(self) -> float:
        return time.perf_counter() - self._start


def _maximum_length(accept: bytes) -> int:
    """Return the longest PDU that an A-ASSOCIATE-AC allows, 0 for any (PS3.8 9.3.3, D.1)."""
    user = _item(accept[_FIXED_PART_BYTES:], _USER_INFORMATION)
    return int.from_bytes(_item(user, _MAXIMUM_LENGTH), "big")


def _item(items: bytes, wanted: int) -> bytes:
    at = 0
    while at + 4 <= len(items):
        kind, length = struct.unpack_from(">BxH", items, at)
        if kind == wanted:
            return items[at + 4 : at + 4 + length]
        at += 4 + length
    return b""
