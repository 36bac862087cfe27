"""Model bundles: which there are, what each is, which one reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Form, Query
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from console.bundles import choices
from console.bundles.card import SANDBOXED, card_page, card_text, has_page
from console.bundles.register import register as sent_here
from console.context import Context, ContextDep
from console.pages.administration.sections import ROOT, back_to, section
from console.security.access import Admin
from console.security.who import Who
from console.services.errors import MissingError, RefusedError

router = APIRouter(include_in_schema=False)

Name = Annotated[str, Form(max_length=200)]
Reason = Annotated[str, Form(max_length=500)]
Asked = Annotated[str, Query(max_length=200)]


@router.get(f"{ROOT}/bundles")
def show(request: Request, context: ContextDep, who: Admin) -> Response:
    """List the bundles, and what was chosen when."""
    return _page(request, context, who)


@router.put(f"{ROOT}/bundles")
async def register(request: Request, context: ContextDep, who: Admin) -> Response:
    """Register the bundle whose ZIP is the body of the request."""
    try:
        name, new = await sent_here(context, who, request.stream())
    except RefusedError as refused:
        return JSONResponse({"sentence": str(refused)}, refused.status)
    done = "is registered" if new else "was registered already"
    return JSONResponse({"sentence": f"{name} {done}."}, 201 if new else 200)


@router.get(f"{ROOT}/bundles/card")
def card(request: Request, context: ContextDep, who: Admin, name: Asked = "") -> Response:
    """Show a bundle's model card."""
    try:
        bundle = choices.find(context, name)
    except MissingError as missing:
        raise HTTPException(404, str(missing)) from None
    return section(
        request,
        "card.html",
        who,
        bundle=bundle,
        name=name,
        text=Markup(card_text(bundle)),
        has_page=has_page(bundle),
    )


@router.get(f"{ROOT}/bundles/card/page")
def plots(context: ContextDep, who: Admin, name: Asked = "") -> Response:
    """Show the card with plots, as a page that may do nothing."""
    try:
        text = card_page(choices.find(context, name))
    except MissingError as missing:
        raise HTTPException(404, str(missing)) from None
    return HTMLResponse(text, headers={"Content-Security-Policy": SANDBOXED})


@router.post(f"{ROOT}/bundles/verify")
def verify(request: Request, context: ContextDep, who: Admin, name: Name = "") -> Response:
    """Hold one against its digests and its golden output."""
    try:
        said = choices.verify(context, name)
    except RefusedError as refused:
        return _page(request, context, who, refused=refused)
    return _page(request, context, who, said=said)


@router.post(f"{ROOT}/bundles/activate")
def activate(
    request: Request, context: ContextDep, who: Admin, name: Name = "", reason: Reason = ""
) -> Response:
    """Have its readings reported; without a name, those of the configured one."""
    return _after(
        request, context, who, lambda: choices.activate(context, who, name or None, reason)
    )


@router.post(f"{ROOT}/bundles/shadow")
def shadow(
    request: Request, context: ContextDep, who: Admin, name: Name = "", reason: Reason = ""
) -> Response:
    """Have one read in shadow; without a name, none."""
    return _after(request, context, who, lambda: choices.shadow(context, who, name or None, reason))


@router.post(f"{ROOT}/bundles/rollback")
def roll_back(request: Request, context: ContextDep, who: Admin, reason: Reason = "") -> Response:
    """Return to the one that was active before."""
    return _after(request, context, who, lambda: choices.roll_back(context, who, reason))


def _after(request: Request, context: Context, who: Who, change: Callable[[], object]) -> Response:
    """Return to the list after a change, or say why it was not made."""
    try:
        change()
    except RefusedError as refused:
        return _page(request, context, who, refused=refused)
    return back_to("bundles")


def _page(
    request: Request,
    context: Context,
    who: Who,
    *,
    refused: RefusedError | None = None,
    said: str = "",
) -> Response:
    rows = choices.listed(context)
    return section(
        request,
        "bundles.html",
        who,
        refused=refused,
        bundles=rows,
        in_shadow=next((row for row in rows if row.role == "shadow"), None),
        before=choices.before(context),
        history=choices.history(context),
        said=said,
    )
