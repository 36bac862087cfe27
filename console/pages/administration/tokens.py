"""Tokens of the API: made, shown once, revoked."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import Response

from console.context import Context, ContextDep
from console.pages.administration.sections import ROOT, back_to, section
from console.security.access import Admin
from console.security.scopes import Scope
from console.security.who import Who
from console.services import tokens, users
from console.services.errors import RefusedError

router = APIRouter(include_in_schema=False)

LIFETIMES = {"30": "30 days", "90": "90 days", "365": "a year", "": "until it is revoked"}
"""How long a new token may be good, in days."""


@router.get(f"{ROOT}/tokens")
def show(request: Request, context: ContextDep, who: Admin) -> Response:
    """List the tokens."""
    return _page(request, context, who)


@router.post(f"{ROOT}/tokens/make")
def make(
    request: Request,
    context: ContextDep,
    who: Admin,
    user: Annotated[int, Form(ge=1, le=2**53)],
    name: Annotated[str, Form(max_length=200)] = "",
    scope: Annotated[list[Scope] | None, Form()] = None,
    days: Annotated[str, Form(pattern=r"^[0-9]{0,4}$")] = "",
) -> Response:
    """Make one, and show it once."""
    lifetime = float(days) if days else None
    try:
        made = tokens.make(context, who, user_id=user, name=name, scopes=scope or (), days=lifetime)
    except RefusedError as refused:
        return _page(request, context, who, refused=refused)
    return _page(request, context, who, secret=made.secret)


@router.post(f"{ROOT}/tokens/revoke")
def revoke(
    request: Request,
    context: ContextDep,
    who: Admin,
    token: Annotated[int, Form(ge=1, le=2**53)],
) -> Response:
    """Make one useless."""
    try:
        tokens.revoke(context, who, token)
    except RefusedError as refused:
        return _page(request, context, who, refused=refused)
    return back_to("tokens")


def _page(
    request: Request,
    context: Context,
    who: Who,
    *,
    refused: RefusedError | None = None,
    secret: str = "",
) -> Response:
    return section(
        request,
        "tokens.html",
        who,
        refused=refused,
        tokens=tokens.listed(context),
        owners=[each for each in users.users(context) if tokens.may_have_tokens(each, who)],
        scopes=list(Scope),
        lifetimes=LIFETIMES,
        secret=secret,
        now=context.now(),
    )
