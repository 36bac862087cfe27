"""How sockets are set up and read, those that we accept and those of our own calls."""

from __future__ import annotations

import functools
import socket
import time

from pynetdicom import _config
from pynetdicom.events import Event

# pynetdicom would describe every message for a log that nobody keeps.
_config.LOG_HANDLER_LEVEL = "none"

_KEEPALIVE_IDLE_SECONDS = 30
_KEEPALIVE_INTERVAL_SECONDS = 10
_KEEPALIVE_PROBES = 3
_USER_TIMEOUT_MILLISECONDS = 60_000
_CHUNK_BYTES = 1_048_576
_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)  # Linux alone has it
_LEAST_PDU_LIMIT = 1_048_576
"""PDUs that negotiate associations have no negotiated limit; all of them are far below this."""


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


def pdu_limit(max_pdu_bytes: int) -> int:
    """Return how many bytes of a PDU are read at most where PDUs of `max_pdu_bytes` may be sent."""
    return max(max_pdu_bytes, _LEAST_PDU_LIMIT)


def read_our_way(event: Event, max_pdu_bytes: int) -> None:
    """On EVT_CONN_OPEN of a call of ours: have its socket read by `receive`."""
    association_socket = event.assoc.dul.socket
    connection = association_socket.socket if association_socket else None
    if connection is not None:
        read = functools.partial(receive, connection, pdu_limit(max_pdu_bytes))
        setattr(association_socket, "recv", read)  # noqa: B010


def receive(
    connection: socket.socket, limit: int, count: int, deadline: float | None = None
) -> bytearray:
    """Read exactly `count` bytes, or fewer where the peer closes the connection.

    Linux leaves quick-acknowledge mode by itself after a while, so it is armed anew after every
    read: a sender with Nagle's algorithm on then never waits for a delayed acknowledgement.

    Args:
        connection: the socket.
        limit: how many bytes a PDU may have.
        count: how many bytes to read.
        deadline: until when all must be there (`time.monotonic`), however slowly they come; None:
            each part is waited for as long as the socket's timeout says.

    Raises:
        TimeoutError: not all was there by the deadline.
        OSError: the connection failed, or the peer announces a PDU beyond `limit` bytes.
    """
    if count > limit:
        raise OSError("the peer announced a PDU beyond the limit")
    data = bytearray()
    while len(data) < count:
        if deadline is not None:
            connection.settimeout(max(0.001, deadline - time.monotonic()))
        part = connection.recv(min(count - len(data), _CHUNK_BYTES))
        if not part:
            break
        _acknowledge_at_once(connection)
        data += part
    return data


def fill(connection: socket.socket, place: memoryview, deadline: float) -> bool:
    """Read until `place` is full; return whether it is, before the peer closes the connection.

    Otherwise as `receive`, for what is known to belong where it is read to.

    Raises:
        TimeoutError: not all was there by the deadline.
        OSError: the connection failed.
    """
    had = 0
    while had < len(place):
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        part = connection.recv_into(place[had:])
        if not part:
            return False
        _acknowledge_at_once(connection)
        had += part
    return True


def _acknowledge_at_once(connection: socket.socket) -> None:
    if _QUICKACK is not None:
        connection.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
