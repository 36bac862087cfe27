"""Behind a load balancer, senders are known by their own address, which only it may name."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from db.files import FileStore
from db.models import Study
from db.session import Database
from scp_service.certificates import make_trial
from scp_service.proxied import NotProxiedError, read, sender
from settings import SettingsError, doubts
from tests.peers import free_port, wire
from tests.scp_service.films import cr, encode
from tests.scp_service.running import configured, listener

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
ELSEWHERE = "203.0.113.9"
"""An address that nobody here has."""

BEHIND = {"listener__proxy_protocol_from": ["127.0.0.1"]}
PEERS = [{"ae_title": "WIRE", "address": ELSEWHERE}]


def version_2(command: int, family: int, rest: bytes) -> bytes:
    """Encode a header of version 2."""
    return SIGNATURE + struct.pack(">BBH", 0x20 | command, family, len(rest)) + rest


def by_tcp4(source: str = ELSEWHERE, extra: bytes = b"") -> bytes:
    addresses = socket.inet_aton(source) + socket.inet_aton("192.0.2.1")
    return version_2(1, 0x11, addresses + struct.pack(">HH", 40_000, 11_112) + extra)


def by_tcp6(source: str) -> bytes:
    addresses = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(
        socket.AF_INET6, "2001:db8::1"
    )
    return version_2(1, 0x21, addresses + struct.pack(">HH", 40_000, 11_112))


def heard(data: bytes, balancer: str = "192.0.2.7") -> tuple[str | None, bytes]:
    """Return the sender's address that is read of these bytes, and what is left to read."""
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        header = bytearray()
        read(ours, header)
        address = sender(header, balancer)
        return None if address is None else address[0], ours.recv(1000)


@pytest.mark.parametrize(
    ("header", "address"),
    [
        (b"PROXY TCP4 203.0.113.9 192.0.2.1 40000 11112\r\n", ELSEWHERE),
        (b"PROXY TCP6 2001:db8::9 2001:db8::1 40000 11112\r\n", "2001:db8::9"),
        (b"PROXY TCP6 ::ffff:203.0.113.9 ::ffff:192.0.2.1 40000 11112\r\n", ELSEWHERE),
        (b"PROXY UNKNOWN\r\n", None),
        (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", None),
        (by_tcp4(), ELSEWHERE),
        (by_tcp4(extra=b"\x02\x00\x04name"), ELSEWHERE),
        (by_tcp6("2001:db8::9"), "2001:db8::9"),
        (by_tcp6("::ffff:203.0.113.9"), ELSEWHERE),
        (version_2(0, 0, b""), None),
        (version_2(1, 0x31, bytes(216)), None),
        (by_tcp4("127.0.0.1"), None),
    ],
)
def test_a_header_names_the_sender_and_nothing_behind_it_is_read(
    header: bytes, address: str | None
) -> None:
    assert heard(header + b"\x01what follows") == (address, b"\x01what follows")


@pytest.mark.parametrize(
    "said",
    [
        wire.associate_rq(),
        b"PROXY TCP4 not.an.address 192.0.2.1 40000 11112\r\n",
        b"PROXY TCP4 203.0.113.9 192.0.2.1 70000 11112\r\n",
        b"PROXY TCP4 203.0.113.9\r\n",
        b"PROXY UDP4 203.0.113.9 192.0.2.1 40000 11112\r\n",
        b"PROXY " + b"x" * 200,
        SIGNATURE + struct.pack(">BBH", 0x21, 0x11, 60_000),
        version_2(1, 0x11, b"short"),
        version_2(7, 0x11, bytes(12)),
        b"\r\n\r\nGET / HTTP/1.1",
    ],
)
def test_what_is_no_header_is_refused(said: bytes) -> None:
    with pytest.raises(NotProxiedError):
        heard(said)


@pytest.fixture
def kept(database: Database) -> Callable[[], list[str]]:
    """Tell at which addresses the films have come from."""

    def addresses() -> list[str]:
        with database.read() as session:
            return list(session.scalars(select(Study.source_address).order_by(Study.id)))

    return addresses


@contextmanager
def connected(port: int, header: bytes, *, source: str = "127.0.0.1") -> Iterator[wire.Wire]:
    """Connect, and say a header first."""
    with wire.Wire(port, source=source) as connection:
        connection.send(header)
        yield connection


def send_film(connection: wire.Wire) -> int:
    """Send a film, and return its status."""
    assert connection.ask()[0] == wire.ASSOCIATE_AC
    film = cr()
    connection.send(wire.store_rq(film.SOPInstanceUID))
    connection.send(wire.fragment(3, encode(film, wire.EXPLICIT), command=False))
    return connection.status()


def test_a_film_is_filed_under_the_address_that_the_balancer_names(
    database: Database, store: FileStore, kept: Callable[[], list[str]]
) -> None:
    with listener(database, store, **BEHIND, peers=PEERS) as settings:
        with connected(settings.listener.port, by_tcp4()) as known:
            assert send_film(known) == 0
        with connected(settings.listener.port, by_tcp4("203.0.113.10")) as stranger:
            assert stranger.ask()[0] == wire.ASSOCIATE_RJ
    assert kept() == [ELSEWHERE]


def test_a_header_that_drips_in_is_taken_whole(
    database: Database, store: FileStore, kept: Callable[[], list[str]]
) -> None:
    line = b"PROXY TCP4 203.0.113.9 192.0.2.1 40000 11112\r\n"
    with listener(database, store, **BEHIND, peers=PEERS) as settings:
        for header in (line, by_tcp4()):
            with connected(settings.listener.port, header[:1]) as slow:
                for byte in header[1:]:
                    slow.send(bytes([byte]))
                assert send_film(slow) == 0
    assert kept() == [ELSEWHERE, ELSEWHERE]


def test_only_a_balancer_may_name_the_sender(database: Database, store: FileStore) -> None:
    with listener(database, store, **BEHIND, peers=PEERS) as settings:
        port = settings.listener.port
        with connected(port, by_tcp4(), source="127.0.0.2") as liar:
            assert liar.ask()[0] == wire.ABORT


def test_a_balancer_may_call_for_itself_for_an_echo_alone(
    database: Database, store: FileStore
) -> None:
    local = version_2(0, 0, b"")
    with (
        listener(database, store, **BEHIND, peers=PEERS) as settings,
        connected(settings.listener.port, local) as checking,
    ):
        kind, body = checking.ask(wire.associate_rq(calling="HAPROXY"))
        assert kind == wire.ASSOCIATE_AC
        # PS3.8 9.3.3.2: 0, acceptance; 3, abstract syntax not supported.
        assert context_results(body) == {1: 0, 3: 3}
        checking.send(wire.echo_rq())
        assert checking.status() == 0


def context_results(body: bytes) -> dict[int, int]:
    """Read the results of presentation contexts from an A-ASSOCIATE-AC."""
    found, at = {}, 68
    while at < len(body):
        kind, length = struct.unpack_from(">BxH", body, at)
        if kind == 0x21:
            found[body[at + 4]] = body[at + 6]
        at += 4 + length
    return found


def test_this_machines_own_health_check_needs_no_header(
    database: Database, store: FileStore
) -> None:
    with (
        listener(database, store, **BEHIND, peers=PEERS) as settings,
        wire.Wire(settings.listener.port) as checking,
    ):
        assert checking.ask(wire.associate_rq(calling="HILUM"))[0] == wire.ASSOCIATE_AC


def test_a_balancer_that_does_not_say_whom_it_forwards_in_time_is_hung_up_on(
    database: Database, store: FileStore
) -> None:
    given = {**BEHIND, "listener__acse_timeout_seconds": 0.3}
    with listener(database, store, **given) as settings:
        for begun in (b"", b"PROXY ", SIGNATURE):
            with connected(settings.listener.port, begun) as slow:
                assert slow.is_closed_by_peer()


def test_behind_the_header_comes_tls(
    database: Database, store: FileStore, tmp_path: Path, kept: Callable[[], list[str]]
) -> None:
    trial = make_trial(tmp_path / "trial", ["127.0.0.1"], days=30, now=datetime.now(UTC))
    tls = {"enabled": True, "port": free_port(), "certificate": str(trial.server)}
    secured = {f"listener__tls__{key}": value for key, value in tls.items()}
    trusting = ssl.create_default_context(cafile=str(trial.ca))
    with (
        listener(database, store, **BEHIND, **secured, peers=PEERS) as settings,
        connected(settings.listener.tls.port, by_tcp4()) as sending,
    ):
        sending.connection = trusting.wrap_socket(sending.connection, server_hostname="127.0.0.1")
        assert send_film(sending) == 0
    assert kept() == [ELSEWHERE]


def test_a_balancers_address_must_be_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"listener\.proxy_protocol_from.*10\.0\.0\.0/24"):
        configured(tmp_path, listener__proxy_protocol_from=["balancer.example"])


def test_that_everybody_is_a_balancer_is_doubted(tmp_path: Path) -> None:
    open_to_all = configured(tmp_path, listener__proxy_protocol_from=["0.0.0.0/0"])
    assert any("listener.proxy_protocol_from" in doubt for doubt in doubts(open_to_all))
    assert not list(doubts(configured(tmp_path, **BEHIND)))
