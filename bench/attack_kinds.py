"""The attacks of `bench.attacks`: each begins, lasts as long as its block, and is over then."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from itertools import product

from bench.attacked import CALLED, PATIENCE_SECONDS, Target
from tests.peers import wire
from tests.peers.process import LOOPBACK
from tests.scp_service.films import cr, encode, uid

_MEGABYTE = 1_000_000
_DEFLATED = ((wire.VERIFICATION, wire.IMPLICIT), (wire.CR_STORAGE, wire.DEFLATED))
_FRAGMENT = 16_000
"""In bytes; what is longer than 16 KiB, Orthanc and DCMTK do not take in one PDU."""
_LONGEST_SECONDS = 20.0
"""How long data sets are sent, where fewer are taken in that time than were meant."""
_NAME = "x/../../evil"

Seen = Counter[str]
"""What came of an attack, in a few words, and how often."""


@dataclass(frozen=True, slots=True)
class Attack:
    """What is done, whether over TLS, and whether the echoes come from another address."""

    begin: Callable[[Target, Seen], AbstractContextManager[None]]
    over_tls: bool = False
    echo_source: str = LOOPBACK


@contextmanager
def _nothing(_target: Target, _seen: Seen) -> Iterator[None]:
    yield


@contextmanager
def _idle(target: Target, _seen: Seen) -> Iterator[None]:
    with _connections(target, 200):
        yield


@contextmanager
def _one_idle(target: Target, _seen: Seen) -> Iterator[None]:
    with _connections(target, 1):
        yield


@contextmanager
def _one_byte(target: Target, _seen: Seen) -> Iterator[None]:
    with _connections(target, 50) as connections:
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.send(b"\x01")
        yield


@contextmanager
def _scan(target: Target, _seen: Seen) -> Iterator[None]:
    with contextlib.suppress(TimeoutError):
        for _ in range(200):
            _connected(target).close()
    yield


@contextmanager
def _associations(target: Target, seen: Seen) -> Iterator[None]:
    """Ask for fifty associations, and say nothing in those that are let in."""
    with ExitStack() as stack:
        with contextlib.suppress(TimeoutError):
            for _ in range(50):
                caller = stack.enter_context(target.call(seconds=2))
                kind, _body = caller.ask(wire.associate_rq(CALLED))
                seen["let in" if kind == wire.ASSOCIATE_AC else "refused"] += 1
        yield


@contextmanager
def _giant(target: Target, _seen: Seen) -> Iterator[None]:
    def announce_4_gigabytes() -> None:
        with _connected(target) as attacker:
            attacker.sendall(struct.pack(">BxL", wire.ASSOCIATE_RQ, 0xFFFFFFFF))
            for _ in range(400):
                attacker.sendall(bytes(_MEGABYTE))
            attacker.recv(1)

    with _beside(announce_4_gigabytes):
        yield


@contextmanager
def _zeros(target: Target, _seen: Seen) -> Iterator[None]:
    with _beside(lambda: _store_without_waiting(target, 400, bytes(_MEGABYTE))):
        yield


@contextmanager
def _elements(target: Target, _seen: Seen) -> Iterator[None]:
    film = encode(cr())
    at = film.index(struct.pack("<HH", 0x0010, 0x0010))
    tags = product((0x0009, 0x000B, 0x000D, 0x000F), range(0x1000, 0x1000 + _MEGABYTE // 32))
    tiny = b"".join(struct.pack("<HH2sH", *tag, b"LO", 0) for tag in tags)
    with _beside(lambda: _store_without_waiting(target, 50, film[:at] + tiny + film[at:])):
        yield


@contextmanager
def _bomb(target: Target, seen: Seen) -> Iterator[None]:
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    # One private element of explicit VR with a gigabyte of zeros.
    head = struct.pack("<HH2sHL", 0x0009, 0x1001, b"OB", 0, 1_000_000_000)
    bomb = packer.compress(head)
    for _ in range(1000):
        bomb += packer.compress(bytes(_MEGABYTE))
    bomb += packer.flush()

    def send_it() -> None:
        with target.call(seconds=60) as attacker:
            attacker.ask(wire.associate_rq(CALLED, contexts=_DEFLATED))
            attacker.send(wire.store_rq("1.2.3.4"))
            for start in range(0, len(bomb), 10_000):
                last = start + 10_000 >= len(bomb)
                part = bomb[start : start + 10_000]
                attacker.send(wire.fragment(3, part, command=False, last=last))
            seen[f"{attacker.status():04X}"] += 1

    with _beside(send_it):
        yield


@contextmanager
def _path(target: Target, seen: Seen) -> Iterator[None]:
    """Send films whose instance UID is a path out of the folder where films are kept."""

    def send_them() -> None:
        for name in ("../evil", _NAME, "/tmp/evil"):
            with target.call(seconds=PATIENCE_SECONDS) as attacker:
                attacker.ask(wire.associate_rq(CALLED))
                attacker.send(wire.store_rq(name))
                film = _named(name)
                attacker.send(wire.fragment(3, film, command=False))
                seen[f"{attacker.status():04X}"] += 1

    with _beside(send_them):
        yield
    outside = [path for path in target.folder.rglob("*evil*") if path.parent == target.folder]
    seen["written outside"] += len(outside)


def _named(name: str) -> bytes:
    """Encode a film whose SOP Instance UID is no UID, as no library would."""
    film = cr(SOPInstanceUID=uid())
    value = name.encode() + b"\0" * (len(name) % 2)
    held = str(film.SOPInstanceUID).encode()
    held += b"\0" * (len(held) % 2)
    head = struct.pack("<HH2sH", 0x0008, 0x0018, b"UI", len(held)) + held
    return encode(film).replace(head, struct.pack("<HH2sH", 8, 0x18, b"UI", len(value)) + value)


ATTACKS: dict[str, Attack] = {
    "none": Attack(_nothing),
    "200 idle connections": Attack(_idle),
    "200 connect and close": Attack(_scan),
    "50 connections of one byte": Attack(_one_byte),
    "one idle connection on the TLS port": Attack(_one_idle, over_tls=True),
    "50 idle associations": Attack(_associations, echo_source="127.0.0.2"),
    "a PDU of 4 GB": Attack(_giant),
    "400 C-STOREs of 1 MB, no answer awaited": Attack(_zeros),
    "50 C-STOREs of 125,000 elements each": Attack(_elements),
    "a deflated bomb of 1 GB": Attack(_bomb),
    "a UID that is a path": Attack(_path),
}


def _store_without_waiting(target: Target, count: int, data: bytes) -> None:
    with target.call(seconds=PATIENCE_SECONDS) as attacker:
        attacker.ask(wire.associate_rq(CALLED))
        parts = [data[start : start + _FRAGMENT] for start in range(0, len(data), _FRAGMENT)]
        end = time.monotonic() + _LONGEST_SECONDS
        for number in range(count):
            if time.monotonic() > end:
                break
            attacker.send(wire.store_rq(f"1.2.3.{number + 1}", number))
            for part in parts[:-1]:
                attacker.send(wire.fragment(3, part, command=False, last=False))
            attacker.send(wire.fragment(3, parts[-1], command=False))


def _connected(target: Target) -> socket.socket:
    return socket.create_connection((LOOPBACK, target.port), timeout=2)  # one lost SYN


@contextmanager
def _connections(target: Target, count: int) -> Iterator[list[socket.socket]]:
    """Hold so many connections that say nothing, or fewer where no more are let in."""
    made: list[socket.socket] = []
    with ExitStack() as stack:
        with contextlib.suppress(TimeoutError):
            for _ in range(count):
                made.append(stack.enter_context(_connected(target)))
        yield made


@contextmanager
def _beside(work: Callable[[], None]) -> Iterator[None]:
    """Attack in a thread; the end of the block waits for it. Whatever the peer does is right."""

    def attack() -> None:
        with contextlib.suppress(OSError, ValueError, struct.error):
            work()

    thread = threading.Thread(target=attack)
    thread.start()
    try:
        yield
    finally:
        thread.join()
