"""The TLS side of the listener: each connection is secured in a thread of its own, with a limit."""

from __future__ import annotations

import logging
import ssl
import threading
import time
from socket import socket
from typing import Any

from scp_service.server import Server
from scp_service.tls import names_in, server_context, why
from settings import ServerTls

_log = logging.getLogger(__name__)

_MOST_HANDSHAKES = 64
"""Handshakes at once; a connection beyond that is closed."""
_QUIET_SECONDS = 60.0


class Refusals:
    """Tells of refused connections: the first of its kind at once, then how many a minute."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._told: dict[tuple[str, str], tuple[float, int]] = {}

    def tell(self, address: str, reason: str) -> None:
        """Log that a connection was refused, unless the same was logged a moment ago."""
        now = time.monotonic()
        with self._guard:
            since, unsaid = self._told.get((address, reason), (float("-inf"), 0))
            if now - since < _QUIET_SECONDS:
                self._told[address, reason] = (since, unsaid + 1)
                return
            self._told = {
                key: value for key, value in self._told.items() if now - value[0] < _QUIET_SECONDS
            }
            self._told[address, reason] = (now, 0)
        more = f" ({unsaid} more before)" if unsaid else ""
        _log.warning("A TLS connection from %s was refused: %s.%s", address, reason, more)


class TlsServer(Server):
    """A server whose connections are secured before an association is made of them."""

    def __init__(self, tls: ServerTls, *args: Any, **kwargs: Any) -> None:
        """Take up certificate and limits; the rest is what `AE.make_server` gives.

        Raises:
            TlsError: a file cannot be used.
        """
        self._context = server_context(tls)
        self._names = {name.lower() for name in tls.client_names}
        self._timeout = tls.handshake_timeout_seconds
        self._slots = threading.BoundedSemaphore(_MOST_HANDSHAKES)
        self._refusals = Refusals()
        super().__init__(*args, **kwargs)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Secure a connection without holding up the next one, then make an association of it."""
        if not self._slots.acquire(blocking=False):
            self._refusals.tell(client_address[0], "too many connections wait to be secured")
            self.shutdown_request(request)
            return
        threading.Thread(
            target=self._secure, args=(request, client_address), name="handshake", daemon=True
        ).start()

    def _secure(self, request: socket, client_address: Any) -> None:
        try:
            secured = self._handshake(request)
        except OSError as error:
            self._refusals.tell(client_address[0], why(error))
            self.shutdown_request(request)
            return
        finally:
            self._slots.release()
        if self._names and not self._names & names_in(secured.getpeercert() or {}):
            self._refusals.tell(client_address[0], "its certificate carries no allowed name")
            self.shutdown_request(secured)
            return
        self.finish_request(secured, client_address)

    def _handshake(self, request: socket) -> ssl.SSLSocket:
        """Return the connection, secured.

        Raises:
            OSError: the peer does not speak TLS as we demand it, or not in time.
        """
        request.settimeout(self._timeout)  # of the whole handshake, however slowly bytes come
        secured = self._context.wrap_socket(request, server_side=True)
        secured.settimeout(self.ae.network_timeout)
        return secured
