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
from scp_service.crew import Shared
from scp_service.guard import Full, Guard
from scp_service.proxied import Address
from scp_service.sockets import set_options
from scp_service.straight import Store
from settings import Listener

_GC_SECONDS = 30.0
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_PAUSE_SECONDS = 0.05
_TOGETHER_SECONDS = 0.1
"""How often others are told at least how many associations there are."""
_LEAVE_SECONDS = 0.005


class Server(AssociationServer):
    """An association server that has no thread for who only connects."""

    request_queue_size = 1024

    def __init__(
        self,
        *,
        guard: Guard,
        limits: Listener,
        per_address: int,
        budget: Budget,
        shared: Shared | None = None,
        store: Store | None = None,
        **given: Any,
    ) -> None:
        """Take up guard, limits, budget, and how many associations may be of one address.

        `store` keeps films that are sent as they mostly are; by default pynetdicom's events do.
        `shared` is what other processes have in common with this one that listen on the same port.
        The rest is what `AE.make_server` gives.

        Raises:
            OSError: the port is taken or may not be used.
        """
        self.limits = limits
        self.refusals = guard.refusals
        self._guard = guard
        self._per_address = per_address
        self.budget = budget
        self.store = store
        self._shared = shared
        self._collected = time.monotonic()
        super().__init__(**given, request_handler=AdmittedHandler)

    def server_bind(self) -> None:
        """Bind the port, unless that has been done for several processes together."""
        if self._shared is None:
            super().server_bind()
            return
        assert self.socket is not None
        self.socket.close()
        self.socket = self._shared.sockets[self.server_address[1]].dup()

    def serve(self) -> None:
        """Accept connections until `shutdown`."""
        if self._shared is None:
            self.serve_forever()
        else:
            self.serve_forever(_TOGETHER_SECONDS)

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Accept a connection and set its socket's options.

        A process that is busier than another one leaves it to that for a moment.

        Raises:
            OSError: it is gone already or another process's, or this process may open no more;
                `socketserver` goes on.
        """
        if self._shared is not None and self._is_busier(self._shared):
            time.sleep(_LEAVE_SECONDS)
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
        self._tell()

    def service_actions(self) -> None:
        """Collect dead associations now and then, however many connections come and go."""
        self._tell()
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
        hosts = self._hosts()
        total, of_host = len(hosts), hosts.count(host)
        if self._shared is not None:
            elsewhere = self._shared.census.elsewhere(self._shared.place, host)
            total, of_host = total + elsewhere[0], of_host + elsewhere[1]
        if total >= self.ae.maximum_associations:
            return Full.ALL
        return Full.ADDRESS if of_host >= self._per_address else None

    def admit(self, connection: socket.socket, address: Address, request: bytes) -> None:
        """Make an association of a connection and the A-ASSOCIATE-RQ that it has sent."""
        self.finish_request((request, connection), cast(tuple[str, int], address))
        self._tell()

    # What other processes are told ----------------------------------------------------------

    def _hosts(self) -> list[str]:
        """Return the hosts of the associations on all ports, one for each."""
        return [each.requestor.address for each in self.ae.active_associations if each.is_acceptor]

    def _is_busier(self, shared: Shared) -> bool:
        ours = len(self._hosts()) + self._guard.waiting
        return ours > shared.census.least_busy_elsewhere(shared.place)

    def _tell(self) -> None:
        if self._shared is not None:
            hosts = self._hosts()
            connections = len(hosts) + self._guard.waiting
            self._shared.census.tell(self._shared.place, connections, hosts)
