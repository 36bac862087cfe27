"""The TCP side of the listener, behind pynetdicom's `make_server`: sockets and how they are read.

What guards the port against idle and malicious connections belongs here too.
"""

from __future__ import annotations

import functools
import socket
from socketserver import BaseServer

from pynetdicom import _config
from pynetdicom.events import Event
from pynetdicom.transport import AssociationServer

# pynetdicom would describe every message for a log that nobody keeps.
_config.LOG_HANDLER_LEVEL = "none"

_KEEPALIVE_IDLE_SECONDS = 30
_KEEPALIVE_INTERVAL_SECONDS = 10
_KEEPALIVE_PROBES = 3
_USER_TIMEOUT_MILLISECONDS = 60_000
_CHUNK_BYTES = 1_048_576
_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)  # Linux alone has it
_LEAST_PDU_LIMIT = 1_048_576
"""A-ASSOCIATE-RQ has no negotiated limit; the largest sensible one is far below this."""


class Server(AssociationServer):
    """An association server whose sockets are set up for many small messages."""

    request_queue_size = 128

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Accept a connection and set its socket's options."""
        accepted, address = super().get_request()
        set_options(accepted)
        return accepted, address

    def shutdown(self) -> None:
        """Stop accepting connections; those under way go on.

        The base class would also strike the server off a list of its AE that `make_server` never
        put it on.
        """
        BaseServer.shutdown(self)


def set_options(connection: socket.socket) -> None:
    """Send at once (TCP_NODELAY), and notice a peer that is gone within about a minute."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", _KEEPALIVE_IDLE_SECONDS),
        ("TCP_KEEPINTVL", _KEEPALIVE_INTERVAL_SECONDS),
        ("TCP_KEEPCNT", _KEEPALIVE_PROBES),
        ("TCP_USER_TIMEOUT", _USER_TIMEOUT_MILLISECONDS),
    ):
        if hasattr(socket, option):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def read_our_way(event: Event, max_pdu_bytes: int) -> None:
    """On EVT_CONN_OPEN: have this association's socket read by `receive`."""
    association_socket = event.assoc.dul.socket
    connection = association_socket.socket if association_socket else None
    if connection is not None:
        limit = max(max_pdu_bytes, _LEAST_PDU_LIMIT)
        setattr(association_socket, "recv", functools.partial(receive, connection, limit))  # noqa: B010


def receive(connection: socket.socket, limit: int, count: int) -> bytearray:
    """Read exactly `count` bytes, or fewer where the peer closes the connection.

    Linux leaves quick-acknowledge mode by itself after a while, so it is armed anew after every
    read: a sender with Nagle's algorithm on then never waits for a delayed acknowledgement.

    Raises:
        OSError: the connection failed, or the peer announces a PDU beyond `limit` bytes.
    """
    if count > limit:
        raise OSError("the peer announced a PDU beyond the limit")
    data = bytearray()
    while len(data) < count:
        part = connection.recv(min(count - len(data), _CHUNK_BYTES))
        if not part:
            break
        if _QUICKACK is not None:
            connection.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
        data += part
    return data
