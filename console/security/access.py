"""Who may call what: `Reader`, `Operator` and `Admin`, for pages and for the API alike.

A page is called with a session's cookie, the API with that or with a bearer token (RFC 6750).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated

from fastapi import Depends
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request

from console.context import Context, ContextDep
from console.security import cookies, csrf
from console.security.scopes import role_of, scope_of
from console.security.secret import digest
from console.security.who import Who
from db import logins, tokens
from db.states import UserRole

POLL_HEADER = "X-Poll"
"""Shown by scripts that look again by themselves: that keeps nobody logged in."""
FORMS_OF_THEIR_OWN = ("/password", "/logout")
"""What may be called by who must first change the password."""


def _who(request: Request, context: ContextDep, shown: Annotated[str, Depends(csrf.given)]) -> Who:
    """Find out who calls.

    Raises:
        HTTPException: 401 nobody known; 403 a forged request, or a first password that stands yet.
    """
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return _by_token(context, token.strip(), address_of(request))
    who = by_session(request, context)
    if who is None:
        raise HTTPException(401, "Log in first.")
    csrf.check(request, shown)
    if who.must_change and request.url.path not in FORMS_OF_THEIR_OWN:
        raise MustChangeError
    return who


class MustChangeError(HTTPException):
    """The password was made by somebody else, and is to be changed before anything else."""

    def __init__(self) -> None:
        super().__init__(403, "Change your password first.")


def by_session(request: HTTPConnection, context: Context) -> Who | None:
    """Return whose session the request's cookie is of; None where it is of none."""
    secret = cookies.session_secret(request)
    if secret is None:
        return None
    idle = timedelta(minutes=context.settings.console.idle_minutes)
    with context.database.read() as session:
        now = context.database.now(session)
        found = logins.find(session, digest(secret), idle=idle, now=now)
    if found is None:
        return None
    if POLL_HEADER not in request.headers and logins.is_due(found, now):
        with context.database.write() as session:
            logins.touch(session, found.id, now)
    user = found.user
    return Who(
        user.id,
        user.name,
        user.role,
        address_of(request),
        session_id=found.id,
        must_change=user.must_change,
    )


def _by_token(context: Context, token: str, address: str) -> Who:
    with context.database.read() as session:
        now = context.database.now(session)
        found = tokens.find(session, digest(token), now)
    role = None if found is None else role_of(found.scopes, found.user.role)
    if found is None or role is None:
        raise HTTPException(
            401, "This token is not good.", {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        )
    if tokens.is_due(found, now):
        with context.database.write() as session:
            tokens.touch(session, found.id, now)
    return Who(found.user_id, found.user.name, role, address, token_id=found.id)


def address_of(connection: HTTPConnection) -> str:
    """Return the address that a request comes from."""
    return connection.client.host if connection.client else "unknown"


def _at_least(needed: UserRole) -> Callable[[Who], Who]:
    def check(who: Annotated[Who, Depends(_who)]) -> Who:
        if not who.role.may(needed):
            sentence = f"This needs the role {needed.value}; yours is {who.role.value}."
            raise HTTPException(403, sentence, _too_little(who, needed))
        return who

    return check


def _too_little(who: Who, needed: UserRole) -> dict[str, str]:
    """Return how a program is told which scope its token lacks (RFC 6750 3)."""
    if who.token_id is None:
        return {}
    scope = scope_of(needed).value
    return {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'}


_CHECKS = {role: _at_least(role) for role in UserRole}

Known = Annotated[Who, Depends(_who)]
"""Anybody who is known, in whatever role: for what holds for all calls alike."""
Reader = Annotated[Who, Depends(_CHECKS[UserRole.READER])]
Operator = Annotated[Who, Depends(_CHECKS[UserRole.OPERATOR])]
Admin = Annotated[Who, Depends(_CHECKS[UserRole.ADMIN])]


def role_needed(route: APIRoute) -> UserRole:
    """Return the role that a route asks for.

    Raises:
        LookupError: it asks for none of the three.
    """
    for each in route.dependant.dependencies:
        for role, check in _CHECKS.items():
            if each.call is check:
                return role
    raise LookupError(f"{route.path} asks for no role")
