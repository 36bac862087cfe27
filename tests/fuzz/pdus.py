"""Conversations with a listener that are wrong in a seeded way: PDUs, fragments and commands.

    python -m tests.fuzz.pdus --cases 100000 --seed 1

Runs `hilum listen` and sends it so many conversations. Every one must end, an echo must be answered
in between, and the process must neither die nor grow nor show a traceback. A case is told by its
seed and number alone: `--first N --cases 1` sends that one again.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.peers import ChildProcess, free_port, hilum_process, wire
from tests.peers.wire import Wire
from tests.scp_service.films import cr, encode

HANG_SECONDS = 30.0
ECHO_SECONDS = 5.0
MOST_GROWTH = 50_000_000
"""In bytes, after the warm-up."""
BATCH = 500
_CALLERS = 6
_CRASHED = ("Traceback", "An unforeseen error")
_INTERESTING = (0, 1, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)

Mutator = Callable[[random.Random, list[bytes]], list[bytes]]


class FuzzError(AssertionError):
    """The listener did what no listener may; the message names the cases by seed and number."""


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a run: cases sent, bytes that the process grew by, its slowest echo, seconds."""

    cases: int
    grown: int
    slowest_echo: float


# Conversations -------------------------------------------------------------------------------


def conversation(chance: random.Random) -> list[bytes]:
    """Return the PDUs of a conversation as a modality has it."""
    name = f"1.2.{chance.getrandbits(100)}"
    named = {
        "SOPInstanceUID": name,
        "StudyInstanceUID": f"{name}.1",
        "SeriesInstanceUID": f"{name}.2",
        "PatientID": "P1",
        "AccessionNumber": "A1",
    }
    data = encode(cr(**named))
    cut = chance.randrange(1, len(data))
    storing = [
        wire.store_rq(name, chance.randrange(1, 0xFFFF)),
        wire.fragment(3, data[:cut], command=False, last=False),
        wire.fragment(3, data[cut:], command=False),
    ]
    middle = {0: [wire.echo_rq()], 1: storing, 2: [wire.echo_rq(), *storing]}[chance.randrange(3)]
    return [wire.associate_rq(), *middle, wire.release_rq()]


def mutated(seed: int, number: int) -> list[bytes]:
    """Return what case `number` of a seed sends."""
    chance = random.Random(f"{seed}/{number}")
    pdus = conversation(chance)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        pdus = chance.choice(_MUTATORS)(chance, pdus)
    return pdus


def _of_one(change: Callable[[random.Random, bytearray], None]) -> Mutator:
    """Make a mutator of one PDU; mostly not of the first, lest nothing gets further."""

    def mutate(chance: random.Random, pdus: list[bytes]) -> list[bytes]:
        if not pdus:
            return pdus
        which = 0 if chance.random() < 0.3 else chance.randrange(len(pdus))
        pdu = bytearray(pdus[which])
        if pdu:
            change(chance, pdu)
        return [*pdus[:which], bytes(pdu), *pdus[which + 1 :]]

    return mutate


def _flip(chance: random.Random, pdu: bytearray) -> None:
    for _ in range(chance.randrange(1, 9)):
        pdu[chance.randrange(len(pdu))] ^= 1 << chance.randrange(8)


def _number(chance: random.Random, pdu: bytearray) -> None:
    """Put a number that is often taken wrong in the place of a length, an id or a flag."""
    width = chance.choice((1, 2, 4))
    start = chance.randrange(len(pdu))
    value = chance.choice(_INTERESTING) & (256**width - 1)
    pdu[start : start + width] = value.to_bytes(width, chance.choice(("big", "little")))


def _truncate(chance: random.Random, pdu: bytearray) -> None:
    del pdu[chance.randrange(len(pdu)) :]


def _remove(chance: random.Random, pdu: bytearray) -> None:
    start = chance.randrange(len(pdu))
    del pdu[start : start + chance.randrange(1, 17)]


def _insert(chance: random.Random, pdu: bytearray) -> None:
    start = chance.randrange(len(pdu))
    pdu[start:start] = chance.randbytes(chance.choice((1, 2, 8, 300)))


def _repeat(chance: random.Random, pdu: bytearray) -> None:
    start = chance.randrange(len(pdu))
    part = bytes(pdu[start : start + chance.randrange(1, 65)])
    pdu[start:start] = part * chance.choice((1, 2, 100))


def _with_a_right_length(change: Callable[[random.Random, bytearray], None]) -> Mutator:
    """Change what follows a PDU's head, and let the head tell its true length."""

    def mutate(chance: random.Random, pdu: bytearray) -> None:
        body = pdu[6:]
        if body:
            change(chance, body)
            pdu[2:] = len(body).to_bytes(4, "big") + body

    return _of_one(mutate)


def _shuffle(chance: random.Random, pdus: list[bytes]) -> list[bytes]:
    return chance.sample(pdus, len(pdus))


def _again(chance: random.Random, pdus: list[bytes]) -> list[bytes]:
    which = chance.randrange(len(pdus) + 1)
    return [
        *pdus[:which],
        *pdus[max(0, which - 1) : which] * chance.choice((1, 2, 20)),
        *pdus[which:],
    ]


def _skip(chance: random.Random, pdus: list[bytes]) -> list[bytes]:
    which = chance.randrange(len(pdus) + 1)
    return [*pdus[:which], *pdus[which + 1 :]]


def _foreign(chance: random.Random, pdus: list[bytes]) -> list[bytes]:
    """Put in a PDU of any type, one that we never expect among them."""
    which = chance.randrange(len(pdus) + 1)
    body = chance.randbytes(chance.choice((0, 4, 10, 100)))
    return [*pdus[:which], wire.pdu(chance.randrange(9), body), *pdus[which:]]


_MUTATORS: Sequence[Mutator] = (
    *map(_of_one, (_flip, _number, _truncate, _remove, _insert, _repeat)),
    *map(_with_a_right_length, (_flip, _number, _truncate, _remove, _insert, _repeat)),
    _shuffle,
    _again,
    _skip,
    _foreign,
)


# Running them --------------------------------------------------------------------------------


def converse(port: int, pdus: Sequence[bytes]) -> bool:
    """Say all of it and no more; tell whether the listener hung up then, as it has to.

    Where the first PDU is a whole request for an association, its answer is waited for, as else
    little would be said inside of one.
    """
    with Wire(port, seconds=HANG_SECONDS) as caller:
        try:
            for number, pdu in enumerate(pdus):
                caller.send(pdu)
                if number == 0 and _asks(pdu):
                    caller.read()
            caller.say_no_more()
        except TimeoutError:
            return False
        except OSError:
            return True
        return caller.is_closed_by_peer()


def _asks(pdu: bytes) -> bool:
    """Tell whether bytes are an A-ASSOCIATE-RQ of the length that it tells."""
    return pdu[:1] == b"\x01" and 6 + int.from_bytes(pdu[2:6], "big") == len(pdu)


@contextmanager
def fuzzed(folder: Path) -> Iterator[tuple[ChildProcess, int]]:
    """Run the listener that is to suffer."""
    port = free_port()
    env = {
        "HILUM_DATA_DIR": str(folder / "data"),
        "HILUM_LISTENER__HOST": "127.0.0.1",
        "HILUM_LISTENER__PORT": str(port),
        "HILUM_LISTENER__MIN_FREE_BYTES": "0",
    }
    with hilum_process(["listen"], env, folder=folder) as process:
        process.wait_for("Listening on port", seconds=60)
        yield process, port


def run(process: ChildProcess, port: int, *, seed: int, first: int, cases: int) -> Report:
    """Send the cases `first` to `first + cases - 1` of a seed.

    Raises:
        FuzzError: one did not end, an echo was not answered in time, the process died, grew or
            showed a traceback.
    """
    slowest, grown, base = 0.0, 0, 0
    for begin in range(first, first + cases, BATCH):
        numbers = range(begin, min(begin + BATCH, first + cases))
        hung = _batch(port, seed, numbers)
        named = f"seed {seed}, cases {numbers.start} to {numbers.stop - 1}"
        if hung:
            raise FuzzError(f"seed {seed}: these cases did not end: {hung}")
        slowest = max(slowest, _echo_seconds(process, port, named))
        if any(sign in process.log() for sign in _CRASHED):
            raise FuzzError(f"{named}: a thread has crashed\n{process.tail()}")
        memory = psutil.Process(process.pid).memory_info().rss
        base = base or memory  # the first batch warms up
        grown = memory - base
        if grown > MOST_GROWTH:
            raise FuzzError(f"{named}: the listener has grown by {grown:,} bytes")
    return Report(cases, grown, slowest)


def _batch(port: int, seed: int, numbers: range) -> list[int]:
    """Send cases, some at a time; return those that did not end."""
    with ThreadPoolExecutor(_CALLERS) as callers:
        ended = callers.map(lambda number: converse(port, mutated(seed, number)), numbers)
        return [number for number, has in zip(numbers, ended, strict=True) if not has]


def _echo_seconds(process: ChildProcess, port: int, named: str) -> float:
    begin = time.monotonic()
    try:
        with Wire(port, seconds=ECHO_SECONDS) as sender:
            sender.ask()
            sender.send(wire.echo_rq())
            assert sender.status() == 0
    except (OSError, ValueError, AssertionError) as error:
        raise FuzzError(f"{named}: no echo after them ({error!r})\n{process.tail()}") from None
    return time.monotonic() - begin


def main() -> None:
    """Run so many cases of a seed, and print what came."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.pdus", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--cases", type=int, default=100_000)
    options = parser.parse_args()
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, fuzzed(Path(folder)) as (process, port):
        report = run(process, port, seed=options.seed, first=options.first, cases=options.cases)
    print(
        f"{report.cases:,} cases of seed {options.seed} in {time.monotonic() - begin:.0f} s:"
        f" none hung, none crashed; grown by {report.grown / 1e6:.1f} MB;"
        f" slowest echo {report.slowest_echo:.2f} s"
    )


if __name__ == "__main__":
    main()
