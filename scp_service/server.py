"""The TCP side of the listener, behind pynetdicom's `make_server`: its socket options.

What guards the port against idle and malicious connections belongs here too.
"""

from __future__ import annotations

import socket
from socketserver import BaseServer
from typing import Any

from pynetdicom.transport import AssociationServer

_KEEPALIVE_IDLE_SECONDS = 30
_KEEPALIVE_INTERVAL_SECONDS = 10
_KEEPALIVE_PROBES = 3
_USER_TIMEOUT_MILLISECONDS = 60_000


class QuickAckSocket(socket.socket):
    """A TCP socket that acknowledges at once what it receives.

    Linux leaves quick-acknowledge mode by itself after a while, so it is armed anew after every
    read. A sender with Nagle's algorithm on then never waits for a delayed acknowledgement.
    """

    def recv(self, *args: Any) -> bytes:
        """Receive, and acknowledge at once."""
        data = super().recv(*args)
        if data:
            self.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return data


class Server(AssociationServer):
    """An association server whose sockets are set up for many small messages."""

    request_queue_size = 128

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Accept a connection and set its socket's options."""
        accepted, address = super().get_request()
        if type(accepted) is socket.socket:
            accepted = QuickAckSocket(fileno=accepted.detach())
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
