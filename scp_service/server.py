"""The TCP side of the listener, behind pynetdicom's `make_server`: what is accepted, and when.

A connection goes to the guard, which has an association made of it when it has asked for one.
"""

from __future__ import annotations

import errno
import gc
import socket
import ssl
import time
from socketserver import BaseServer
from typing import Any, cast

from pynetdicom.transport import AssociationServer

from scp_service.admitted import AdmittedHandler
from scp_service.budget import Budget
from scp_service.guard import Full, Guard
from scp_service.proxied import Address
from scp_service.sockets import set_options
from settings import Listener

_GC_SECONDS = 30.0
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_PAUSE_SECONDS = 0.05


class Server(AssociationServer):
    """An association server that has no thread for who only connects."""

    request_queue_size = 1024

    def __init__(
        self, *, guard: Guard, limits: Listener, per_address: int, budget: Budget, **given: Any
    ) -> None:
        """Take up guard, limits, budget, and how many associations may be of one address.

        The rest is what `AE.make_server` gives.

        Raises:
            OSError: the port is taken or may not be used.
        """
        self.limits = limits
        self.refusals = guard.refusals
        self._guard = guard
        self._per_address = per_address
        self.budget = budget
        self._collected = time.monotonic()
        super().__init__(**given, request_handler=AdmittedHandler)

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Accept a connection and set its socket's options.

        Raises:
            OSError: it is gone already, or this process may open no more; `socketserver` goes on.
        """
        try:
            accepted, address = super().get_request()
        except OSError as error:
            if error.errno in _EXHAUSTED:
                time.sleep(_PAUSE_SECONDS)  # the connection still waits: it is not to be spun on
            raise
        set_options(accepted)
        return accepted, address

    def process_request(self, request: Any, client_address: Any) -> None:
        """Let the guard see what the connection wants."""
        self._guard.take(self, request, client_address)

    def service_actions(self) -> None:
        """Collect dead associations now and then, however many connections come and go."""
        if time.monotonic() - self._collected > _GC_SECONDS:
            gc.collect()
            self._collected = time.monotonic()

    def shutdown(self) -> None:
        """Stop accepting connections; those under way go on.

        The base class would also strike the server off a list of its AE that `make_server` never
        put it on.
        """
        BaseServer.shutdown(self)

    # What the guard asks --------------------------------------------------------------------

    def secured(self, connection: socket.socket) -> ssl.SSLSocket | None:
        """Leave a connection as it is."""
        return None

    def objection(self, connection: ssl.SSLSocket) -> str:
        """Let everybody go on."""
        return ""

    def is_full(self, host: str) -> Full | None:
        """Tell whether there are as many associations, on all ports, as there may be."""
        hosts = [each.requestor.address for each in self.ae.active_associations if each.is_acceptor]
        if len(hosts) >= self.ae.maximum_associations:
            return Full.ALL
        return Full.ADDRESS if hosts.count(host) >= self._per_address else None

    def admit(self, connection: socket.socket, address: Address, request: bytes) -> None:
        """Make an association of a connection and the A-ASSOCIATE-RQ that it has sent."""
        self.finish_request((request, connection), cast(tuple[str, int], address))
