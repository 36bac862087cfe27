"""Logging in with an account of the house, by OpenID Connect; nothing where none is configured."""

from __future__ import annotations

import hmac
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from console.context import Context, ContextDep
from console.pages.login import begin_session, own_page
from console.pages.render import render_error
from console.security import audited, cookies
from console.security.access import address_of
from console.security.secret import new_secret
from db import accounts
from db.people import User
from db.states import UserRole
from settings.console import Oidc

router = APIRouter(include_in_schema=False)

_BACK = "/login/oidc/back"


@router.get("/login/oidc")
def begin(
    request: Request, context: ContextDep, back: Annotated[str, Query(alias="next")] = "/"
) -> Response:
    """Send the browser to the identity provider."""
    from console.security.oidc import OidcError, authorization_url

    oidc, secret = _configured(context), new_secret()
    try:
        url = authorization_url(oidc, secret, _redirect_uri(request, oidc))
    except OidcError as error:
        return render_error(request, 502, f"Logging in failed: {error}.")
    response = RedirectResponse(url, 303)
    cookies.set_provider(request, response, secret + quote(own_page(back), safe="/?&=%+~"))
    return response


@router.get(_BACK)
def end(
    request: Request, context: ContextDep, code: str = "", state: str = "", error: str = ""
) -> Response:
    """Take the browser back from the identity provider, and log in whom it vouches for."""
    from console.security.oidc import OidcError, state_of, vouched

    oidc = _configured(context)
    secret, slash, page = (cookies.provider_secret(request) or "").partition("/")
    if not slash or not hmac.compare_digest(state_of(secret).encode(), state.encode()):
        return _refused(request, context, "this login was not begun in this browser; begin again")
    if error or not code:
        return _refused(request, context, "the identity provider did not let you in")
    try:
        found = vouched(oidc, secret, _redirect_uri(request, oidc), code)
    except OidcError as why:
        return _refused(request, context, str(why))
    if found.role is None:
        return _refused(request, context, "your account has no role here; ask an administrator")
    try:
        user = _user(context, found.identity, found.name, found.role)
    except accounts.AccountError as why:
        return _refused(request, context, str(why))
    if user.disabled_at is not None:
        return _refused(request, context, "your account is disabled; ask an administrator")
    response = RedirectResponse(own_page(slash + page), 303)
    cookies.drop_provider(request, response)
    begin_session(request, context, response, user)
    return response


def _configured(context: Context) -> Oidc:
    oidc = context.settings.console.oidc
    if oidc.issuer is None:
        raise HTTPException(404, "No identity provider is configured.")
    return oidc


def _redirect_uri(request: Request, oidc: Oidc) -> str:
    return oidc.redirect_uri or f"{request.url.scheme}://{request.url.netloc}{_BACK}"


def _user(context: Context, identity: str, name: str, role: UserRole) -> User:
    """Return the user of an identity, made at the first login, with the role of today."""
    with context.database.write() as session:
        user = accounts.of_identity(session, identity)
        if user is None:
            now = context.database.now(session)
            return accounts.add(session, name, role, now=now, identity=identity)
        user.role = role
        return user


def _refused(request: Request, context: Context, why: str) -> Response:
    audited.login_failed(context, "", address_of(request), why)
    response = render_error(request, 403, f"Logging in failed: {why}.")
    cookies.drop_provider(request, response)
    return response
