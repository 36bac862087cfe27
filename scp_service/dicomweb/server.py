"""The web server that the application runs in: its port, its limits, its certificates."""

from __future__ import annotations

import asyncio
import functools
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from db.files import FileStore
from db.session import Database
from scp_service import audited
from scp_service.dicomweb.app import application
from scp_service.receive import Receiver, receiving
from scp_service.refusals import Refusals
from scp_service.sockets import set_options
from scp_service.tls import is_refusal, names_in, server_context, why
from settings import Dicomweb, Settings

_log = logging.getLogger(__name__)

_BACKLOG = 128
_MOST_CONNECTIONS = 256
_MOST_IDLE = 64
_KEEP_ALIVE_SECONDS = 5
_PATIENCE_SECONDS = 10.0
_LONGEST_HEADER_BYTES = 65_536
_DRAIN_SECONDS = 10


@contextmanager
def serving(
    settings: Settings,
    database: Database,
    store: FileStore,
    ended: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    """Serve until the context ends; requests under way then get time to finish.

    `ended` is called when the server is no more, whatever ended it.

    Raises:
        OSError: the port is taken or may not be used.
        TlsError: a certificate, key or CA file cannot be used.
    """
    web = settings.dicomweb
    if not web.is_guarded:
        _log.warning("No token is configured: ANYONE on this machine may send films by STOW-RS.")
    if web.is_in_the_clear:
        _log.warning("TLS is not enabled: films and tokens come by STOW-RS UNENCRYPTED.")
    with receiving(settings, database, store) as receiver, _bound(web) as port:
        config = _configuration(settings, database, store, receiver)
        server = uvicorn.Server(config)

        def run() -> None:
            try:
                with asyncio.Runner(loop_factory=_Loop) as runner:
                    runner.run(server.serve(sockets=[port]))
            finally:
                ended()

        thread = threading.Thread(target=run, name="dicomweb")
        thread.start()
        scheme = "https" if web.tls.enabled else "http"
        _log.info("Taking films by STOW-RS at %s://%s:%d/dicomweb.", scheme, web.host, web.port)
        try:
            yield
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def _bound(web: Dicomweb) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in web.host else socket.AF_INET
    with socket.create_server((web.host, web.port), family=family, backlog=_BACKLOG) as port:
        yield port


def _configuration(
    settings: Settings, database: Database, store: FileStore, receiver: Receiver
) -> uvicorn.Config:
    web = settings.dicomweb
    names = frozenset(name.lower() for name in web.tls.client_names)
    idle: dict[GuardedProtocol, None] = {}
    refusals, trail = Refusals(), audited.Refusals(receiver.trail)

    def refused(address: str, reason: str, *, by_tls: bool = True) -> None:
        refusals.tell(address, reason)
        if by_tls:
            trail.add(address, reason)

    protocol: Any = functools.partial(GuardedProtocol, names, refused, idle)
    context = _telling(server_context(web.tls), refused) if web.tls.enabled else None
    return uvicorn.Config(
        application(settings, database, store, receiver),
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,  # a URL may hold a Study Instance UID
        proxy_headers=False,
        server_header=False,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
        h11_max_incomplete_event_size=_LONGEST_HEADER_BYTES,
        ssl_context_factory=(lambda *_: context) if context else None,
    )


def _telling(context: ssl.SSLContext, refused: Callable[..., None]) -> ssl.SSLContext:
    """Have handshakes that fail told of; asyncio keeps silent about them, and about with whom."""

    class Handshake(ssl.SSLObject):
        def do_handshake(self) -> None:
            try:
                super().do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                raise  # it goes on
            except ssl.SSLError as error:
                refused("a sender of STOW-RS", why(error), by_tls=is_refusal(error))
                raise

    context.sslobject_class = Handshake
    return context


class _Loop(asyncio.SelectorEventLoop):
    """Waits for a TLS handshake no longer than for anything else."""

    async def create_server(self, *args: Any, **kwargs: Any) -> asyncio.Server:
        if kwargs.get("ssl") is not None:
            kwargs["ssl_handshake_timeout"] = _PATIENCE_SECONDS
        return await super().create_server(*args, **kwargs)


class GuardedProtocol(H11Protocol):
    """HTTP/1.1 that waits for nobody without end, and looks at certificates' names."""

    def __init__(
        self,
        names: frozenset[str],
        refused: Callable[[str, str], None],
        idle: dict[GuardedProtocol, None],
        *args: Any,
        **kwargs: Any,
    ) -> None:
        """Take up what all connections share; the rest is uvicorn's.

        Args:
            names: those that certificates may carry; empty: any.
            refused: is told of certificates that carry none of them: the address, and why.
            idle: the connections that have nothing to say yet, in the order that they came in.
        """
        super().__init__(*args, **kwargs)
        self._names = names
        self._refused = refused
        self._idle = idle
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin; a peer without an allowed name is hung up on."""
        super().connection_made(transport)
        set_options(transport.get_extra_info("socket"))
        if self._names and not self._names & names_in(transport.get_extra_info("peercert") or {}):
            address = self.client[0] if self.client else "an unknown address"
            self._refused(address, "its certificate carries no allowed name")
            transport.abort()
            return
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Read on."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        super().connection_lost(exc)
        self._unwatch()

    def _watch(self) -> None:
        """Have a deadline while a header is awaited, or the rest of what was answered already.

        Whoever has waited longest is hung up on where too many wait: a sender that is in earnest
        says at once what it wants.
        """
        if self.conn.their_state is not h11.IDLE and self.conn.our_state is not h11.DONE:
            self._unwatch()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(_PATIENCE_SECONDS, self.transport.close)
            self._idle[self] = None
            if len(self._idle) > _MOST_IDLE:
                oldest = next(iter(self._idle))
                oldest._unwatch()
                oldest.transport.abort()

    def _unwatch(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._idle.pop(self, None)
