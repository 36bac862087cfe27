"""Calls by HTTP: with our login and certificates, and an answer of bounded size and time."""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

import httpx
from pydantic import SecretStr

from scp_service.answer import Answer, Outcome, PeerError, UntrustedPeerError
from scp_service.tls import ClientContext, TlsError, client_context
from settings import WebPeer
from settings.secrets import SecretError, reveal

_LONGEST_ANSWER_BYTES = 1_048_576

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""RFC 6750 2.1."""

_LOGIN_REFUSED = {401, 403, 407}
_BUSY = {408, 425, 429, 502, 503, 504}
_NOTHING_THERE = {404, 405}
_NOT_IMPLEMENTED = 501


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered: status, body, and how many seconds it asks us to wait, if it does."""

    status: int
    body: bytes = b""
    retry_after_seconds: float | None = None

    @property
    def ok(self) -> bool:
        """Whether the status says success (2xx)."""
        return 200 <= self.status < 300

    def about_what_was_sent(self) -> Reply:
        """Return this, if it speaks of what was sent.

        Raises:
            PeerError: it speaks of the server: it is busy, does not accept our login, or is not
                what its URL promises.
        """
        said = f"(HTTP status {self.status})"
        if self.status in _LOGIN_REFUSED:
            raise PeerError(f"it does not accept our login {said}")
        if self.status in _BUSY:
            raise PeerError(f"it is busy {said}", retry_after_seconds=self.retry_after_seconds)
        if 300 <= self.status < 400:
            raise PeerError(f"it sends us elsewhere {said}, which is not followed; correct url")
        if self.status in _NOTHING_THERE:
            raise PeerError(f"there is nothing for us at its URL {said}; correct url")
        return self

    def refusal(self, code: str | None = None) -> Answer:
        """Return what it means for the object that it does not say success.

        Args:
            code: what the body says more, as a code that names no patient.
        """
        internal = self.status >= 500 and self.status != _NOT_IMPLEMENTED
        outcome = Outcome.TEMPORARY if internal else Outcome.REFUSED
        more = f", {code}" if code else ""
        return Answer(outcome, f"it answered HTTP status {self.status}{more}", self.status)


class Answering:
    """An answer whose body is still to come."""

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self.content_type: str = response.headers.get("Content-Type", "")
        self.retry_after_seconds = _retry_after(response.headers.get("Retry-After", ""))
        stream = response.extensions.get("network_stream")
        server = stream.get_extra_info("server_addr") if stream is not None else None
        self.address = str(server[0]) if server else ""
        self._response = response

    @property
    def pieces(self) -> Iterator[bytes]:
        """The body as it comes, once."""
        return self._response.iter_bytes()


class Web:
    """One server, called over connections that stay open in between.

    No redirect is followed, no proxy of the environment is used: what is sent goes where the
    configuration says and nowhere else.

    Args:
        peer: its URL, our login and certificates.
        timeout_seconds: how long connecting and each answer may take.

    Raises:
        PeerError: a certificate or a secret cannot be had.
    """

    def __init__(self, peer: WebPeer, timeout_seconds: float) -> None:
        self._url = peer.url
        self._timeout = timeout_seconds
        self._context: ClientContext | None = None
        try:
            if peer.trust is not None:
                self._context = client_context(peer.trust)
            self._client = httpx.Client(
                headers={"User-Agent": "Hilum"},
                auth=_basic(peer),
                verify=self._context or False,
                proxy=peer.proxy,
                timeout=timeout_seconds,
                trust_env=False,
            )
            if peer.token is not None:
                self._client.headers["Authorization"] = f"Bearer {_token(peer.token)}"
        except (TlsError, SecretError) as error:
            raise PeerError(str(error)) from None

    def __enter__(self) -> Self:
        """Begin; the connection is opened by the first call."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Hang up."""
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def ask(
        self,
        method: str,
        path: str = "",
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        longest_bytes: int = _LONGEST_ANSWER_BYTES,
    ) -> Reply:
        """Send a request to the URL with `path` behind it, and return what was answered.

        Raises:
            PeerError: there was no answer, or one of more than `longest_bytes`.
        """
        deadline = time.monotonic() + self._timeout
        with self.open(method, path, content=content, headers=headers, params=params) as answer:
            body = _body(answer.pieces, longest_bytes, deadline)
        return Reply(answer.status, body, answer.retry_after_seconds)

    @contextmanager
    def open(
        self,
        method: str,
        path: str = "",
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Iterator[Answering]:
        """Send a request to the URL with `path` behind it; what is answered is read as it comes.

        Raises:
            PeerError: there was no answer, or it broke off.
        """
        request = self._client.build_request(
            method, self._url + path, content=content, headers=headers, params=params
        )
        if self._context is not None:
            self._context.problem = None
        try:
            response = self._client.send(request, stream=True)
            try:
                yield Answering(response)
            finally:
                response.close()
        except httpx.TimeoutException:
            raise self._failed("it did not answer in time") from None
        except httpx.ConnectError as error:
            raise self._failed(f"it cannot be reached ({_cause(error)})") from None
        except httpx.ProxyError:
            raise PeerError("the proxy does not let us through to it") from None
        except httpx.HTTPError:
            raise self._failed("it closed the connection, or answered no HTTP") from None

    def _failed(self, reason: str) -> PeerError:
        """Return what to raise: for a reason of TLS, if there was one."""
        problem = None if self._context is None else self._context.problem
        return PeerError(reason) if problem is None else UntrustedPeerError(problem)


def _token(secret: SecretStr) -> str:
    token = reveal(secret)
    if not _TOKEN.fullmatch(token):
        raise SecretError("the token holds characters that no bearer token has")
    return token


def _basic(peer: WebPeer) -> httpx.BasicAuth | None:
    if peer.username is None or peer.password is None:
        return None
    return httpx.BasicAuth(peer.username, reveal(peer.password))


def _body(pieces: Iterator[bytes], longest_bytes: int, deadline: float) -> bytes:
    body = bytearray()
    for piece in pieces:
        body += piece
        if len(body) > longest_bytes:
            raise PeerError("its answer is longer than any that makes sense")
        if time.monotonic() > deadline:
            raise PeerError("it did not answer in time")
    return bytes(body)


def _cause(error: BaseException) -> str:
    """Say in the system's words why there is no connection."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, OSError) and inner.strerror:
            return inner.strerror
        inner = inner.__cause__ or inner.__context__
    return "no connection"


def _retry_after(value: str) -> float | None:
    """Read a Retry-After (RFC 9110 10.2.3), in seconds from now; None where it says nothing."""
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        at = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    return max((at.astimezone(UTC) - datetime.now(UTC)).total_seconds(), 0.0)
