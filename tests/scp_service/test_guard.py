"""The guard: whatever is done to the port, who comes to work is served; nothing is left over."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
from pydicom import dcmwrite

from db import sqlite
from db.files import FileStore
from db.session import Database
from scp_service.certificates import Trial, make_trial
from scp_service.listener import listening
from tests import peers
from tests.peers import wire
from tests.peers.wire import Wire
from tests.scp_service.films import cr, encode, uid
from tests.scp_service.running import configured

MOST = 8
"""Associations at once."""
ACSE_SECONDS = 3
PDU_SECONDS = 2
MOST_DATA = 1_048_576
PADDING = struct.pack("<HH2sxxL", 0xFFFC, 0xFFFC, b"OB", 1_000_000) + bytes(1_000_000)
"""Data Set Trailing Padding (PS3.5 7.2)."""


@dataclass(frozen=True)
class Attacked:
    """A listener of its own process, and what it takes."""

    port: int
    tls_port: int
    process: peers.ChildProcess
    films: Path
    trial: Trial
    base: int

    @property
    def threads(self) -> int:
        return psutil.Process(self.process.pid).num_threads()

    @property
    def memory(self) -> int:
        return psutil.Process(self.process.pid).memory_info().rss

    @property
    def descriptors(self) -> int:
        return psutil.Process(self.process.pid).num_fds()

    def times_awake(self) -> int:
        """Return how often its threads have gone to sleep so far."""
        tasks = Path(f"/proc/{self.process.pid}/task").iterdir()
        status = "".join((task / "status").read_text(encoding="utf-8") for task in tasks)
        return sum(map(int, re.findall(r"^voluntary_ctxt_switches:\s+(\d+)", status, re.M)))

    def works(self) -> None:
        """Demand that an echo is answered within a second, and that a film is taken."""
        assert self.echo_seconds() <= 1
        film = self.films / f"{uid()}.dcm"
        dcmwrite(film, cr(), enforce_file_format=True)
        assert peers.storescu([film], self.port).accepted == 1

    def echo_seconds(self) -> float:
        begin = time.monotonic()
        with Wire(self.port) as sender:
            assert sender.ask()[0] == wire.ASSOCIATE_AC
            sender.send(wire.echo_rq())
            assert sender.status() == 0
            sender.send(wire.release_rq())
            assert sender.read()[0] == wire.RELEASE_RP
        return time.monotonic() - begin

    @contextmanager
    def nothing_is_committed(self) -> Iterator[None]:
        """Hold the database's lock."""
        with closing(sqlite.connect(self.films / "data" / "hilum.sqlite")) as database:
            database.execute("BEGIN EXCLUSIVE")
            yield
            database.rollback()

    def is_back_to_its_base(self) -> None:
        peers.wait_until(lambda: self.threads <= self.base, "threads back to the base", seconds=30)


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    """Certificates of this machine."""
    return make_trial(
        tmp_path_factory.mktemp("trial"), ["127.0.0.1"], days=30, now=datetime.now(UTC)
    )


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory, trial: Trial) -> Iterator[Attacked]:
    """One `hilum listen` that all of the attacks hit, one after the other."""
    folder = tmp_path_factory.mktemp("listener")
    port, tls_port = peers.free_port(), peers.free_port()
    env = {
        "HILUM_DATA_DIR": str(folder / "data"),
        "HILUM_LISTENER__HOST": "127.0.0.1",
        "HILUM_LISTENER__PORT": str(port),
        "HILUM_LISTENER__MIN_FREE_BYTES": "0",
        "HILUM_LISTENER__MAX_ASSOCIATIONS": str(MOST),
        "HILUM_LISTENER__MAX_ASSOCIATIONS_PER_ADDRESS": str(MOST),
        "HILUM_LISTENER__MAX_DATASET_BYTES": str(MOST_DATA),
        "HILUM_LISTENER__ACSE_TIMEOUT_SECONDS": str(ACSE_SECONDS),
        "HILUM_LISTENER__PDU_TIMEOUT_SECONDS": str(PDU_SECONDS),
        "HILUM_LISTENER__TLS__ENABLED": "true",
        "HILUM_LISTENER__TLS__PORT": str(tls_port),
        "HILUM_LISTENER__TLS__CERTIFICATE": str(trial.server),
        "HILUM_LISTENER__TLS__HANDSHAKE_TIMEOUT_SECONDS": str(ACSE_SECONDS),
    }
    with peers.hilum_process(["listen"], env, folder=folder) as process:
        process.wait_for("Listening for TLS", seconds=60)
        warm = Attacked(port, tls_port, process, folder, trial, 10_000)
        process.wait_for(lambda: peers.echoscu(port, called="HILUM"))
        warm.works()
        settled = peers.wait_until(lambda: _settled(warm), "threads to settle")
        yield Attacked(port, tls_port, process, folder, trial, settled)


def _settled(listener: Attacked) -> int | None:
    """Return how many threads there are when nobody is connected."""
    established = [
        each
        for each in psutil.Process(listener.process.pid).net_connections("tcp")
        if each.status == psutil.CONN_ESTABLISHED
    ]
    return None if established else listener.threads


def test_two_hundred_idle_connections_cost_no_thread_and_hold_up_nobody(
    listener: Attacked,
) -> None:
    with ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(Wire(listener.port))
        for _ in range(5):
            listener.works()
        assert listener.threads <= listener.base + 3
    listener.is_back_to_its_base()


def test_who_comes_and_goes_at_once_leaves_nothing(listener: Attacked) -> None:
    listener.works()  # so that what it opens for its first film is open
    before = listener.descriptors
    for _ in range(300):
        socket.create_connection(("127.0.0.1", listener.port)).close()
    listener.works()
    peers.wait_until(lambda: listener.descriptors <= before, "descriptors back to the base")
    listener.is_back_to_its_base()
    assert "Traceback" not in listener.process.log()


@pytest.mark.parametrize("said", [b"\x01", wire.associate_rq()[:-1]])
def test_who_begins_a_request_and_does_not_end_it_is_hung_up_on(
    listener: Attacked, said: bytes
) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(Wire(listener.port)) for _ in range(20)]
        for each in slow:
            each.send(said)
        listener.works()
        assert all(each.is_closed_by_peer() for each in slow)
    listener.is_back_to_its_base()


def test_a_request_that_drips_must_be_whole_in_time_all_the_same(listener: Attacked) -> None:
    begin = time.monotonic()
    with Wire(listener.port) as dripping, contextlib.suppress(ConnectionError):
        for byte in wire.associate_rq():
            dripping.send(bytes([byte]))
            time.sleep(0.05)
            assert time.monotonic() - begin < 2 * ACSE_SECONDS
    assert time.monotonic() - begin >= ACSE_SECONDS


def test_who_says_nothing_on_the_tls_port_holds_up_nobody_there(listener: Attacked) -> None:
    trusts = ("+tla", "+cf", str(listener.trial.ca))
    with ExitStack() as stack:
        silent = [stack.enter_context(Wire(listener.tls_port)) for _ in range(100)]
        begin = time.monotonic()
        assert peers.echoscu(listener.tls_port, called="HILUM", options=trusts)
        assert time.monotonic() - begin <= 1
        assert listener.threads <= listener.base + 3
        assert all(each.is_closed_by_peer() for each in silent)
    listener.is_back_to_its_base()


@pytest.mark.parametrize("kind", [wire.ASSOCIATE_RQ, wire.P_DATA, 0x47])
def test_what_is_no_request_of_sensible_length_is_closed_at_its_header(
    listener: Attacked, kind: int
) -> None:
    before = listener.memory
    with Wire(listener.port) as attacker:
        attacker.send(wire.pdu(kind, b"", length=0xFFFFFFFF))
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                attacker.send(bytes(1_000_000))
        assert attacker.is_closed_by_peer()
    assert listener.memory - before < 10_000_000
    listener.works()
    listener.is_back_to_its_base()


def test_associations_beyond_the_limit_are_refused_as_transient_and_the_others_complete(
    listener: Attacked,
) -> None:
    with ExitStack() as stack:
        accepted: list[Wire] = []
        refused: list[bytes] = []
        for _ in range(1000):
            caller = Wire(listener.port, seconds=60)
            kind, body = caller.ask()
            if kind == wire.ASSOCIATE_AC:
                accepted.append(stack.enter_context(caller))
            else:
                assert kind == wire.ASSOCIATE_RJ
                refused.append(body)
                caller.connection.close()
        assert (len(accepted), len(refused)) == (MOST, 1000 - MOST)
        assert set(refused) == {b"\x00\x02\x03\x02"}  # transient, presentation, local limit
        for caller in accepted:
            film = cr()
            caller.send(wire.store_rq(film.SOPInstanceUID))
            caller.send(wire.fragment(3, encode(film), command=False))
            assert caller.status() == 0
            caller.send(wire.release_rq())
            assert caller.read()[0] == wire.RELEASE_RP
    listener.is_back_to_its_base()
    listener.works()


def test_a_thousand_callers_at_the_same_moment_are_each_answered(listener: Attacked) -> None:
    answers: list[int] = []

    def call() -> None:
        for _ in range(50):
            with Wire(listener.port, seconds=60) as caller:
                kind, _ = caller.ask()
                answers.append(kind)
                if kind == wire.ASSOCIATE_AC:
                    caller.send(wire.release_rq())
                    caller.read()

    callers = [threading.Thread(target=call) for _ in range(20)]
    for each in callers:
        each.start()
    for each in callers:
        each.join()
    assert len(answers) == 1000, listener.process.tail()
    assert set(answers) == {wire.ASSOCIATE_AC, wire.ASSOCIATE_RJ}, listener.process.tail()
    listener.is_back_to_its_base()
    listener.works()


def test_requests_that_cannot_be_understood_take_no_place(listener: Attacked) -> None:
    sound = wire.associate_rq()
    broken = sound[:80] + b"\xff" * 20 + sound[100:]
    for request, answer in (
        (broken, (wire.ABORT, b"\x00\x00\x02\x06")),
        (sound[:6] + b"\0\2" + sound[8:], (wire.ASSOCIATE_RJ, b"\x00\x01\x02\x02")),
    ):
        with ExitStack() as stack:
            for _ in range(2 * MOST):
                assert stack.enter_context(Wire(listener.port)).ask(request) == answer
            listener.works()
            assert listener.threads <= listener.base + 3


def test_of_the_protocol_version_bit_0_alone_counts(listener: Attacked) -> None:
    request = wire.associate_rq()
    with Wire(listener.port) as later:
        assert later.ask(request[:6] + b"\0\3" + request[8:])[0] == wire.ASSOCIATE_AC
    listener.is_back_to_its_base()


def test_associations_that_wait_cost_next_to_nothing(listener: Attacked) -> None:
    """Their threads would look a thousand times a second, fifty associations fill a core."""
    with ExitStack() as stack:
        for _ in range(MOST):
            assert stack.enter_context(Wire(listener.port)).ask()[0] == wire.ASSOCIATE_AC
        before, begin = listener.times_awake(), time.monotonic()
        time.sleep(1)  # a second in which nothing is said
        looks = (listener.times_awake() - before) / (time.monotonic() - begin)
        assert looks < 2 * MOST * 50
    listener.is_back_to_its_base()


# Inside an association -----------------------------------------------------------------------


@pytest.fixture
def inside(listener: Attacked) -> Iterator[Wire]:
    """An association, as it is accepted."""
    with Wire(listener.port) as caller:
        assert caller.ask()[0] == wire.ASSOCIATE_AC
        yield caller
    listener.is_back_to_its_base()
    listener.works()


@pytest.mark.parametrize("said", [1, 20])
def test_a_pdu_that_is_not_whole_in_time_ends_its_association(inside: Wire, said: int) -> None:
    begin = time.monotonic()
    with contextlib.suppress(ConnectionError):
        for byte in wire.echo_rq()[:said]:
            inside.send(bytes([byte]))
    assert inside.is_closed_by_peer()
    assert time.monotonic() - begin < 3 * PDU_SECONDS


def test_a_data_set_beyond_the_limit_is_refused_and_never_held_in_memory(
    listener: Attacked, inside: Wire
) -> None:
    before = listener.memory
    inside.send(wire.store_rq(uid()))
    part = wire.fragment(3, bytes(250_000), command=False, last=False)
    for _ in range(400):
        inside.send(part)
    inside.send(wire.fragment(3, b"", command=False))
    assert inside.status() == 0xA700
    assert listener.memory - before < 20_000_000


def test_a_command_without_end_ends_in_an_abort_and_never_fills_the_memory(
    listener: Attacked, inside: Wire
) -> None:
    before = listener.memory
    part = wire.fragment(1, bytes(250_000), command=True, last=False)
    with contextlib.suppress(ConnectionError):
        for _ in range(400):
            inside.send(part)
        inside.send(wire.fragment(1, b"", command=True))
    assert inside.is_closed_by_peer()
    assert listener.memory - before < 20_000_000


@pytest.mark.parametrize("responses", [0, 100])
def test_requests_before_the_last_is_answered_wait_at_the_sender(
    listener: Attacked, inside: Wire, responses: int
) -> None:
    """Nor do responses that nobody has asked for let any in before its time."""
    for _ in range(responses):
        inside.send(wire.store_rsp())
        inside.send(wire.store_rsp().replace(b"\0\x09\x02\0", b"\x99\x09\x02\0"))  # no status
    inside.connection.settimeout(1)
    sent = 0
    with listener.nothing_is_committed(), contextlib.suppress(TimeoutError):
        for _ in range(60):
            film = cr()
            inside.send(wire.store_rq(film.SOPInstanceUID))
            inside.send(wire.fragment(3, encode(film) + PADDING, command=False))
            sent += 1
    assert 1 <= sent < 60
    inside.connection.settimeout(30)
    assert [inside.status() for _ in range(sent)] == [0] * sent


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(wire.fragment(1, b"", command=True), id="no command"),
        pytest.param(wire.fragment(1, bytes(12), command=True), id="no command field"),
        pytest.param(wire.echo_rq().replace(b"\x30\x00", b"\x31\x7f"), id="an unknown command"),
        pytest.param(wire.pdu(wire.ABORT, b"\x00\x00\x77\x77"), id="an abort for no reason"),
    ],
)
def test_what_cannot_be_worked_on_ends_its_association_and_no_thread_by_an_error(
    listener: Attacked, inside: Wire, said: bytes
) -> None:
    inside.send(said)
    assert inside.is_closed_by_peer()
    listener.is_back_to_its_base()
    assert "An unforeseen error" not in listener.process.log()
    assert "Traceback" not in listener.process.log()


@pytest.mark.parametrize("request_", [wire.echo_rq(), wire.store_rq("1.2.3", has_data=False)])
def test_a_request_that_cannot_have_a_response_ends_in_an_abort(
    inside: Wire, request_: bytes
) -> None:
    inside.send(request_.replace(b"\x10\x01\x02\x00", b"\x99\x01\x02\x00"))  # no message id
    assert inside.read()[0] == wire.ABORT


@pytest.mark.parametrize("name", ["", None])
def test_a_film_without_a_name_is_refused_by_its_status(inside: Wire, name: str | None) -> None:
    film = encode(cr())
    for number in (1, 2):
        inside.send(wire.store_rq(name, number))
        inside.send(wire.fragment(3, film, command=False))
        assert inside.status() == 0x0117
    inside.send(wire.echo_rq())
    assert inside.status() == 0


def test_a_film_without_a_data_set_is_refused_by_its_status(inside: Wire) -> None:
    inside.send(wire.store_rq(uid(), has_data=False))
    assert inside.status() == 0xC000


def test_a_deflated_bomb_is_refused_and_never_inflated(listener: Attacked) -> None:
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    bomb = packer.compress(bytes(100_000_000)) + packer.flush()
    before = listener.memory
    with Wire(listener.port, seconds=30) as attacker:
        contexts = ((wire.VERIFICATION, wire.IMPLICIT), (wire.CR_STORAGE, wire.DEFLATED))
        assert attacker.ask(wire.associate_rq(contexts=contexts))[0] == wire.ASSOCIATE_AC
        attacker.send(wire.store_rq(uid()))
        for start in range(0, len(bomb), 200_000):
            part = bomb[start : start + 200_000]
            last = start + 200_000 >= len(bomb)
            attacker.send(wire.fragment(3, part, command=False, last=last))
        assert attacker.status() in (0xA700, 0xC000)
    assert listener.memory - before < 20_000_000
    listener.works()


def test_headers_of_countless_elements_hold_up_nobody(listener: Attacked) -> None:
    film = encode(cr())
    at = film.index(struct.pack("<HH", 0x0010, 0x0010))
    tiny = struct.pack("<HH2sH", 0x0009, 0x1001, b"LO", 0) * 100_000
    hostile = wire.fragment(3, film[:at] + tiny + film[at:], command=False)
    is_over = threading.Event()

    def attack() -> None:
        with Wire(listener.port, seconds=30) as attacker:
            assert attacker.ask()[0] == wire.ASSOCIATE_AC
            while not is_over.is_set():
                attacker.send(wire.store_rq(uid()))
                attacker.send(hostile)
                answers.append(attacker.status())

    answers: list[int] = []
    attackers = [threading.Thread(target=attack) for _ in range(4)]
    for each in attackers:
        each.start()
    try:
        for _ in range(5):
            listener.works()
    finally:
        is_over.set()
        for each in attackers:
            each.join()
    assert set(answers) == {0xC000}
    listener.is_back_to_its_base()


@pytest.mark.parametrize("name", ["../../../evil", "/tmp/evil", "1.2/../3"])
def test_a_uid_that_is_a_path_is_refused(listener: Attacked, inside: Wire, name: str) -> None:
    film = cr()
    inside.send(wire.store_rq(name))
    inside.send(wire.fragment(3, encode(film), command=False))
    assert inside.status() == 0x0117
    assert not list(listener.films.rglob("*evil*"))


# Memory --------------------------------------------------------------------------------------


@pytest.fixture
def tight(database: Database, store: FileStore, request: pytest.FixtureRequest) -> Iterator[int]:
    """The port of a listener that has 2 MiB for each association, and 8 MiB for whoever comes.

    The parameter is how long who waits for memory has patience, in seconds.
    """
    limits = {
        "listener__max_associations": 4,
        "listener__max_associations_per_address": 4,
        "listener__max_buffered_bytes": 16 * 2**20,
        "listener__pdu_timeout_seconds": request.param,
    }
    with listening(configured(store.root, **limits), database, store) as server:
        assert server.socket is not None
        yield server.socket.getsockname()[1]


def begin_a_film(caller: Wire, megabytes: int) -> bytes:
    """Send a film up to its last fragment, which is returned."""
    film = cr()
    encoded = encode(film) + PADDING[:12].replace(PADDING[8:12], b"\0\0\0\x10")
    assert caller.ask()[0] == wire.ASSOCIATE_AC
    caller.send(wire.store_rq(film.SOPInstanceUID))
    caller.send(wire.fragment(3, encoded, command=False, last=False))
    for _ in range(megabytes * 5):
        caller.send(wire.fragment(3, bytes(200_000), command=False, last=False))
    return wire.fragment(3, bytes(12), command=False)


@pytest.mark.parametrize("tight", [60], indirect=True)
def test_data_sets_beyond_the_memory_wait_at_the_sender(tight: int) -> None:
    with Wire(tight) as first, Wire(tight) as small, Wire(tight, seconds=60) as second:
        rest = begin_a_film(first, 40)
        small.send(begin_a_film(small, 1))
        assert small.status() == 0
        answers: list[int] = []

        def send() -> None:
            second.send(begin_a_film(second, 40))
            answers.append(second.status())

        sending = threading.Thread(target=send)
        sending.start()
        sending.join(1)  # far longer than it takes where there is room
        assert not answers
        first.send(rest)
        assert first.status() == 0
        sending.join()
        assert answers == [0]


@pytest.mark.parametrize("tight", [PDU_SECONDS], indirect=True)
def test_who_stalls_and_holds_the_memory_that_others_wait_for_is_hung_up_on(tight: int) -> None:
    with Wire(tight) as stalled, Wire(tight, seconds=60) as other:
        begin_a_film(stalled, 40)
        other.send(begin_a_film(other, 40))
        assert other.status() == 0
        assert stalled.is_closed_by_peer()


# Descriptors ---------------------------------------------------------------------------------


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """Hold so many descriptors that the next is beyond what `select` knows."""
    with ExitStack() as stack:
        blank = os.open(os.devnull, os.O_RDONLY)
        stack.callback(os.close, blank)
        try:
            while (made := os.dup(blank)) < 1100:
                stack.callback(os.close, made)
            stack.callback(os.close, made)
        except OSError:
            pytest.skip("needs a limit of more than 1,100 open files (ulimit -n)")
        yield


def test_descriptors_beyond_1023_are_as_good_as_any(
    database: Database, store: FileStore, tmp_path: Path, many_descriptors: None
) -> None:
    film = tmp_path / "film.dcm"
    dcmwrite(film, cr(), enforce_file_format=True)
    settings = configured(store.root)
    with listening(settings, database, store) as server:
        assert server.socket is not None
        assert server.socket.fileno() > 1023
        assert peers.echoscu(settings.listener.port, called="HILUM")
        assert peers.storescu([film], settings.listener.port).accepted == 1
