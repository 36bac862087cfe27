"""The listener's sockets: their options, and reads that are whole, acknowledged and limited."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from db.files import FileStore
from db.session import Database
from scp_service.admitted import AdmittedSocket
from scp_service.listener import listening
from scp_service.sockets import receive, set_options
from tests import peers
from tests.scp_service.films import cr
from tests.scp_service.running import associated, configured, status

OPTIONS = {
    "TCP_NODELAY": (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    "SO_KEEPALIVE": (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    "TCP_KEEPIDLE": (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    "TCP_USER_TIMEOUT": (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 60_000),
}


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a TCP connection: the sender's and ours."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        sender = socket.create_connection(server.getsockname())
        ours, _ = server.accept()
    with sender, ours:
        yield sender, ours


def test_the_options_are_set(pair: tuple[socket.socket, socket.socket]) -> None:
    _, ours = pair
    set_options(ours)
    for name, (level, option, value) in OPTIONS.items():
        assert (name, ours.getsockopt(level, option)) == (name, value)


def test_the_listeners_associations_have_the_options_and_acknowledge_at_once(
    database: Database, store: FileStore
) -> None:
    settings = configured(store.root)
    with listening(settings, database, store) as server, associated(settings) as association:
        (accepted,) = server.active_associations
        connection = accepted.dul.socket.socket
        for name, (level, option, value) in OPTIONS.items():
            assert (name, connection.getsockopt(level, option)) == (name, value)
        assert isinstance(accepted.dul.socket, AdmittedSocket)
        assert status(association, cr()) == 0x0000


class Recorded(socket.socket):
    """A socket that writes down what is read from it and which options are set."""

    def __init__(self, other: socket.socket) -> None:
        super().__init__(fileno=other.detach())
        self.calls: list[object] = []

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Read, and write down how much."""
        data = super().recv(size, flags)
        self.calls.append(len(data))
        return data

    def setsockopt(self, *args: object) -> None:
        """Set an option, and write down which."""
        self.calls.append(args[:2])
        super().setsockopt(*args)  # type: ignore[call-overload]


def test_quick_acknowledgement_is_armed_anew_after_every_read(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    sender, ours = pair
    with Recorded(ours) as recorded:
        sending = threading.Thread(target=sender.sendall, args=(b"x" * 3_000_000,))
        sending.start()
        assert len(receive(recorded, 4_000_000, 3_000_000)) == 3_000_000
        sending.join()
    reads = [call for call in recorded.calls if isinstance(call, int)]
    assert len(reads) > 1
    assert max(reads) <= 1_048_576
    assert recorded.calls[1::2] == [(socket.IPPROTO_TCP, socket.TCP_QUICKACK)] * len(reads)


def test_a_read_is_whole_however_it_arrives(pair: tuple[socket.socket, socket.socket]) -> None:
    sender, ours = pair
    sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def drip() -> None:
        for byte in b"abcdefgh":
            sender.send(bytes([byte]))

    thread = threading.Thread(target=drip)
    thread.start()
    assert receive(ours, 100, 6) == b"abcdef"
    assert receive(ours, 100, 2) == b"gh"
    thread.join()


def test_a_read_ends_where_the_peer_closes(pair: tuple[socket.socket, socket.socket]) -> None:
    sender, ours = pair
    sender.sendall(b"abc")
    sender.close()
    assert receive(ours, 100, 6) == b"abc"
    assert receive(ours, 100, 6) == b""


def test_a_read_beyond_the_limit_reads_nothing(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    sender, ours = pair
    sender.sendall(b"abcdef")
    with pytest.raises(OSError, match="beyond the limit"):
        receive(ours, 5, 6)
    assert receive(ours, 6, 6) == b"abcdef"


@pytest.mark.parametrize("kind", [0x01, 0x04])
def test_a_peer_that_announces_a_giant_pdu_is_cut_off_and_others_are_not(
    database: Database, store: FileStore, kind: int
) -> None:
    settings = configured(store.root, listener__acse_timeout_seconds=0.3)
    with listening(settings, database, store) as server, associated(settings) as association:
        with socket.create_connection(("127.0.0.1", settings.listener.port)) as attacker:
            attacker.sendall(struct.pack(">BBI", kind, 0, 0xFFFFFFFF) + b"x" * 100)
            attacker.settimeout(10)
            try:
                while attacker.recv(1000):
                    pass
            except ConnectionResetError:
                pass
        peers.wait_until(lambda: len(server.active_associations) == 1, "the attacker's end")
        assert status(association, cr()) == 0x0000
