"""A connection that carries HL7 v2 messages (MLLP release 1), one at a time, each answered."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar

from hl7.mllp import InvalidBlockError, open_hl7_connection
from hl7.mllp.streams import HL7StreamReader, HL7StreamWriter

from scp_service.answer import PeerError, UntrustedPeerError
from scp_service.tls import why

T = TypeVar("T")

_LONGEST_ANSWER_BYTES = 1_048_576


class Mllp:
    """Sends messages to one receiver and returns what it answers.

    A receiver may close the connection after each message, as some do: it is then opened again.

    Args:
        host, port: where the receiver listens.
        context: for TLS; None: without.
        server_name: the name that the receiver's certificate must carry.
        timeout_seconds: how long opening and each answer may take.
    """

    def __init__(
        self,
        host: str,
        port: int,
        context: ssl.SSLContext | None,
        server_name: str,
        timeout_seconds: float,
    ) -> None:
        self._host, self._port = host, port
        self._tls = {"ssl": context, "server_hostname": server_name} if context else {}
        self._timeout = timeout_seconds
        self._runner = asyncio.Runner()
        self._streams: tuple[HL7StreamReader, HL7StreamWriter] | None = None

    def __enter__(self) -> Self:
        """Connect.

        Raises:
            PeerError: the receiver cannot be reached.
        """
        try:
            self._open()
        except BaseException:
            self._runner.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Hang up."""
        self._close()
        self._runner.close()

    def exchange(self, message: bytes) -> bytes:
        """Send a message and return the answer to it, both without their framing.

        Raises:
            PeerError: the receiver went away, did not answer in time, or answered something else.
        """
        if self._streams is not None:
            try:
                return self._ask(message)
            except _GoneError:
                self._close()
        self._open()
        try:
            return self._ask(message)
        except _GoneError:
            self._close()
            raise PeerError("it closed the connection before it answered") from None

    def _ask(self, message: bytes) -> bytes:
        assert self._streams is not None
        reader, writer = self._streams

        async def ask() -> bytes:
            writer.writeblock(message)
            await writer.drain()
            return bytes(await reader.readblock())

        try:
            return self._run(ask())
        except TimeoutError:
            self._close()
            raise PeerError("it did not answer in time") from None
        except asyncio.IncompleteReadError as error:
            if not error.partial:
                raise _GoneError from None
            self._close()
            raise PeerError("it closed the connection in the middle of its answer") from None
        except (InvalidBlockError, ValueError):
            self._close()
            raise PeerError("it answered something that is no MLLP block") from None
        except OSError:
            raise _GoneError from None

    def _open(self) -> None:
        connecting = open_hl7_connection(
            self._host, self._port, limit=_LONGEST_ANSWER_BYTES, **self._tls
        )
        try:
            self._streams = self._run(connecting)
        except TimeoutError:
            raise PeerError("it cannot be reached (no answer in time)") from None
        except ssl.SSLError as error:
            raise UntrustedPeerError(f"TLS failed: {why(error)}") from None
        except OSError as error:
            raise PeerError(f"it cannot be reached ({error.strerror or error})") from None

    def _close(self) -> None:
        if self._streams is None:
            return
        _, writer = self._streams
        self._streams = None

        async def close() -> None:
            writer.close()
            await writer.wait_closed()

        try:
            with suppress(OSError):
                self._run(close())
        except TimeoutError:
            writer.transport.abort()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(asyncio.wait_for(work, self._timeout))


class _GoneError(Exception):
    """The connection ended before a single byte of an answer came."""
