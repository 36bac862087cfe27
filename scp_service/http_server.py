"""A web server of ours: its port, its limits, its certificates. What it serves is handed in."""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from audit import Trail
from scp_service import audited
from scp_service.refusals import Refusals
from scp_service.sockets import set_options
from scp_service.tls import is_refusal, names_in, server_context, why
from settings import WebServerTls

_BACKLOG = 128
_MOST_CONNECTIONS = 256
_MOST_IDLE = 64
_KEEP_ALIVE_SECONDS = 5
_PATIENCE_SECONDS = 10.0
_LONGEST_HEADER_BYTES = 65_536
_DRAIN_SECONDS = 10


@contextmanager
def serving_http(
    application: Any,
    host: str,
    port: int,
    tls: WebServerTls,
    *,
    name: str,
    who: str,
    trail: Trail,
    ended: Callable[[], None] = lambda: None,
    proxies: Sequence[str] = (),
) -> Iterator[None]:
    """Serve an ASGI application until the context ends; requests under way get time to finish.

    Args:
        application: what answers.
        host, port, tls: where it listens, and what connections are secured with.
        name: of the thread.
        who: whoever calls, as the log names one whose TLS handshake fails.
        trail: is told whom certificates did not let in.
        ended: called when the server is no more, whatever ended it.
        proxies: addresses or networks whose X-Forwarded-For and X-Forwarded-Proto are believed.

    Raises:
        OSError: the port is taken or may not be used.
        TlsError: a certificate, key or CA file cannot be used.
    """
    with _bound(host, port) as bound:
        server = uvicorn.Server(_configuration(application, tls, who, trail, proxies))

        def run() -> None:
            try:
                with asyncio.Runner(loop_factory=_Loop) as runner:
                    runner.run(server.serve(sockets=[bound]))
            finally:
                ended()

        thread = threading.Thread(target=run, name=name)
        thread.start()
        try:
            yield
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def _bound(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family, backlog=_BACKLOG) as bound:
        yield bound


def _configuration(
    application: Any, tls: WebServerTls, who: str, trail: Trail, proxies: Sequence[str]
) -> uvicorn.Config:
    names = frozenset(name.lower() for name in tls.client_names)
    idle: dict[GuardedProtocol, None] = {}
    refusals, told = Refusals(), audited.Refusals(trail)

    def refused(address: str, reason: str, *, by_tls: bool = True) -> None:
        refusals.tell(address, reason)
        if by_tls:
            told.add(address, reason)

    protocol: Any = functools.partial(GuardedProtocol, names, refused, idle)
    context = _telling(server_context(tls), refused, who) if tls.enabled else None
    return uvicorn.Config(
        application,
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,  # a URL may hold a Study Instance UID
        proxy_headers=bool(proxies),
        forwarded_allow_ips=list(proxies),
        server_header=False,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
        h11_max_incomplete_event_size=_LONGEST_HEADER_BYTES,
        ssl_context_factory=(lambda *_: context) if context else None,
    )


def _telling(context: ssl.SSLContext, refused: Callable[..., None], who: str) -> ssl.SSLContext:
    """Have handshakes that fail told of; asyncio keeps silent about them, and about with whom."""

    class Handshake(ssl.SSLObject):
        def do_handshake(self) -> None:
            try:
                super().do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                raise  # it goes on
            except ssl.SSLError as error:
                refused(who, why(error), by_tls=is_refusal(error))
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
