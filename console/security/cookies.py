"""The cookies: of the session, and, before there is one, of the login form or the provider."""

from __future__ import annotations

from starlette.requests import HTTPConnection
from starlette.responses import Response

_SESSION = "hilum_session"
_FORM = "hilum_form"
_PROVIDER = "hilum_provider"
_PROVIDER_SECONDS = 600
_BOUND_TO_HOST = "__Host-"
"""Browsers take a cookie of such a name only by HTTPS and from the host itself (RFC 6265bis)."""


def session_secret(connection: HTTPConnection) -> str | None:
    """Return what the session's cookie holds."""
    return connection.cookies.get(_name(connection, _SESSION))


def form_secret(connection: HTTPConnection) -> str | None:
    """Return what the login form's cookie holds."""
    return connection.cookies.get(_name(connection, _FORM))


def set_session(connection: HTTPConnection, response: Response, secret: str) -> None:
    """Have the browser keep a session until it is closed; the form's cookie has done its work."""
    _set(connection, response, _SESSION, secret)
    _drop(connection, response, _FORM)


def drop_session(connection: HTTPConnection, response: Response) -> None:
    """Have the browser forget the session."""
    _drop(connection, response, _SESSION)


def set_form(connection: HTTPConnection, response: Response, secret: str) -> None:
    """Have the browser keep the secret of the login form."""
    _set(connection, response, _FORM, secret)


def provider_secret(connection: HTTPConnection) -> str | None:
    """Return what the cookie of a login at an identity provider holds."""
    return connection.cookies.get(_name(connection, _PROVIDER))


def set_provider(connection: HTTPConnection, response: Response, secret: str) -> None:
    """Have the browser keep the secret of a login at an identity provider, for ten minutes."""
    _set(connection, response, _PROVIDER, secret, _PROVIDER_SECONDS)


def drop_provider(connection: HTTPConnection, response: Response) -> None:
    """Have the browser forget the login at an identity provider."""
    _drop(connection, response, _PROVIDER)


def _name(connection: HTTPConnection, name: str) -> str:
    return (_BOUND_TO_HOST if _is_secure(connection) else "") + name


def _is_secure(connection: HTTPConnection) -> bool:
    return connection.url.scheme == "https"


def _set(
    connection: HTTPConnection,
    response: Response,
    name: str,
    secret: str,
    seconds: int | None = None,
) -> None:
    response.set_cookie(
        _name(connection, name),
        secret,
        max_age=seconds,
        secure=_is_secure(connection),
        httponly=True,
        samesite="lax",
    )


def _drop(connection: HTTPConnection, response: Response, name: str) -> None:
    response.delete_cookie(
        _name(connection, name), secure=_is_secure(connection), httponly=True, samesite="lax"
    )
