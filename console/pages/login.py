"""Logging in and out."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from console.context import Context, ContextDep, context_of
from console.pages.render import render
from console.security import audited, cookies, csrf
from console.security.access import Reader, address_of, by_session
from console.security.limits import LIMITS, network_of
from console.security.secret import digest, new_secret
from db import accounts, logins
from db.people import User

router = APIRouter(include_in_schema=False)

_WRONG = "Name or password is wrong."


@router.get("/login")
def login_form(
    request: Request, context: ContextDep, back: Annotated[str, Query(alias="next")] = "/"
) -> Response:
    """Show the form; who is logged in already goes on."""
    if by_session(request, context) is not None:
        return RedirectResponse(own_page(back), 303)
    return _form(request, back)


@router.post("/login")
def log_in(
    request: Request,
    context: ContextDep,
    shown: Annotated[str, Depends(csrf.given)],
    name: Annotated[str, Form(max_length=256)] = "",
    password: Annotated[str, Form(max_length=1024)] = "",
    back: Annotated[str, Form(alias="next", max_length=2048)] = "/",
) -> Response:
    """Log in, or say why not."""
    if csrf.expected(request) is None:
        sentence = "Your browser has sent no cookie. Allow cookies for this page, and try again."
        return _form(request, back, name, sentence, 403)
    csrf.check(request, shown)
    account, address = digest(accounts.normal(name)), network_of(address_of(request))
    with context.database.write() as session:
        wait = logins.attempt(session, account, address, LIMITS, context.database.now(session))
    if wait:
        audited.login_failed(context, name, address_of(request), "too many attempts")
        seconds = math.ceil(wait.total_seconds())
        return _form(request, back, name, _barred(seconds), 429, {"Retry-After": str(seconds)})
    with context.database.read() as session:
        user = accounts.find(session, name)
    if user is not None and user.disabled_at is not None:
        user = None
    kept = None if user is None else user.password_hash
    if not context.passwords.fits(kept, password) or user is None:
        audited.login_failed(context, name, address_of(request), "wrong name or password")
        return _form(request, back, name, _WRONG, 401)
    with context.database.write() as session:
        logins.forgive(session, account, address)
    if context.passwords.is_dated(user.password_hash or ""):
        _hash_anew(context, user.id, password)
    response = RedirectResponse("/password" if user.must_change else own_page(back), 303)
    begin_session(request, context, response, user)
    return response


@router.post("/logout")
def log_out(request: Request, context: ContextDep, who: Reader) -> Response:
    """Log out."""
    if who.session_id is not None:
        with context.database.write() as session:
            logins.end(session, who.session_id)
    audited.logged_out(context, who)
    response = RedirectResponse("/login", 303)
    cookies.drop_session(request, response)
    return response


def begin_session(request: Request, context: Context, response: Response, user: User) -> None:
    """Log a user in, with a secret that nobody has seen before; the browser keeps it."""
    secret = new_secret()
    with context.database.write() as session:
        logins.begin(
            session,
            session.get_one(User, user.id),
            digest(secret),
            address=address_of(request),
            agent=request.headers.get("User-Agent", ""),
            lifetime=timedelta(hours=context.settings.console.session_hours),
            now=context.database.now(session),
        )
    cookies.set_session(request, response, secret)
    audited.logged_in(context, user.name, address_of(request))


def own_page(path: str) -> str:
    """Return where to go after login: a path of ours, and never another site's address."""
    ours = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if ours and not path.startswith(("/login", "/logout")) else "/"


def _form(
    request: Request,
    back: str,
    name: str = "",
    sentence: str = "",
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> Response:
    """Show the form, with a secret of its own where the browser has none yet."""
    secret = cookies.form_secret(request)
    made = secret is None
    secret = secret or new_secret()
    response = render(
        request,
        "login.html",
        who=None,
        status=status,
        headers=headers,
        csrf=csrf.shown_for(secret),
        next=back,
        name=name,
        sentence=sentence,
        oidc=context_of(request).settings.console.oidc,
    )
    if cookies.session_secret(request) is not None:
        cookies.drop_session(request, response)  # it has expired, and would stand in the way
    if made:
        cookies.set_form(request, response, secret)
    return response


def _barred(seconds: int) -> str:
    long = f"{seconds} seconds" if seconds < 100 else f"{math.ceil(seconds / 60)} minutes"
    return f"Too many attempts have failed. Wait {long}, and try again."


def _hash_anew(context: Context, user_id: int, password: str) -> None:
    kept = context.passwords.hash(password)
    with context.database.write() as session:
        session.get_one(User, user_id).password_hash = kept
