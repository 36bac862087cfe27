"""The TLS side of the listener: what its connections are secured with, and whose are let in."""

from __future__ import annotations

import socket
import ssl
from typing import Any

from scp_service.server import Server
from scp_service.tls import names_in, server_context
from settings import ServerTls


class TlsServer(Server):
    """A server whose connections the guard secures before it listens to them."""

    def __init__(self, tls: ServerTls, **given: Any) -> None:
        """Take up certificate and names; the rest is what `Server` takes.

        Raises:
            TlsError: a file cannot be used.
            OSError: the port is taken or may not be used.
        """
        self._context = server_context(tls)
        self._names = {name.lower() for name in tls.client_names}
        super().__init__(**given)

    def secured(self, connection: socket.socket) -> ssl.SSLSocket:
        """Begin TLS; the handshake is the guard's, which waits for nobody."""
        return self._context.wrap_socket(
            connection, server_side=True, do_handshake_on_connect=False
        )

    def objection(self, connection: ssl.SSLSocket) -> str:
        """Say why a peer may not go on whose certificate is good as such."""
        if self._names and not self._names & names_in(connection.getpeercert() or {}):
            return "its certificate carries no allowed name"
        return ""
