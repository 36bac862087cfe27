"""Destinations: how each stands, whether it is there, and whether it gets anything for now."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from console.context import Context, ContextDep
from console.pages.administration.editing import editing
from console.pages.administration.sections import ROOT, back_to, section
from console.reach import Probe
from console.security.access import Admin
from console.security.who import Who
from console.services import configuration, destinations
from console.services.errors import RefusedError
from db.states import ConfigurationPart

router = APIRouter(include_in_schema=False)
router.include_router(editing(ConfigurationPart.DESTINATION))

Name = Annotated[str, Form(max_length=128)]
Reason = Annotated[str, Form(max_length=500)]


@router.get(ROOT)
def administration(who: Admin) -> Response:
    """Begin with the destinations."""
    return RedirectResponse(f"{ROOT}/destinations", 303)


@router.get(f"{ROOT}/destinations")
def show(request: Request, context: ContextDep, who: Admin) -> Response:
    """List the destinations."""
    return _page(request, context, who)


@router.post(f"{ROOT}/destinations/echo")
def echo(request: Request, context: ContextDep, who: Admin, name: Name = "") -> Response:
    """Ask one whether it is there, and say so beside it."""
    try:
        found = destinations.check(context, name)
    except RefusedError as refused:
        return _page(request, context, who, refused=refused)
    return _page(request, context, who, probed=(name, found))


@router.post(f"{ROOT}/destinations/pause")
def pause(
    request: Request, context: ContextDep, who: Admin, name: Name = "", reason: Reason = ""
) -> Response:
    """Send one nothing for now."""
    try:
        destinations.pause(context, who, name, reason)
    except RefusedError as refused:
        return _page(request, context, who, refused=refused)
    return back_to("destinations")


@router.post(f"{ROOT}/destinations/resume")
def resume(context: ContextDep, who: Admin, name: Name = "") -> Response:
    """Send one what waits for it."""
    destinations.resume(context, who, name)
    return back_to("destinations")


def _page(
    request: Request,
    context: Context,
    who: Who,
    *,
    refused: RefusedError | None = None,
    probed: tuple[str, Probe] | None = None,
) -> Response:
    return section(
        request,
        "destinations.html",
        who,
        refused=refused,
        destinations=destinations.listed(context),
        configured={
            each.name: each for each in configuration.listed(context, ConfigurationPart.DESTINATION)
        },
        locked=configuration.locked(context, ConfigurationPart.DESTINATION),
        probed=probed,
        now=context.now(),
    )
