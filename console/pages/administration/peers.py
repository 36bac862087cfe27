"""Peers: who may send."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import Response

from console.context import Context, ContextDep
from console.pages.administration.editing import editing
from console.pages.administration.sections import ROOT, section
from console.reach import Probe
from console.security.access import Admin
from console.security.who import Who
from console.services import configuration, peers
from console.services.errors import RefusedError
from db.states import ConfigurationPart

router = APIRouter(include_in_schema=False)
router.include_router(editing(ConfigurationPart.PEER))

Name = Annotated[str, Form(max_length=128)]


@router.get(f"{ROOT}/peers")
def show(request: Request, context: ContextDep, who: Admin) -> Response:
    """List the peers."""
    return _page(request, context, who)


@router.post(f"{ROOT}/peers/echo")
def echo(request: Request, context: ContextDep, who: Admin, name: Name = "") -> Response:
    """Ask one by C-ECHO whether it is there, and say so beside it."""
    try:
        found = peers.check(context, name)
    except RefusedError as refused:
        return _page(request, context, who, refused=refused)
    return _page(request, context, who, probed=(name, found))


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
        "peers.html",
        who,
        refused=refused,
        peers=peers.listed(context),
        configured={
            each.name: each for each in configuration.listed(context, ConfigurationPart.PEER)
        },
        locked=configuration.locked(context, ConfigurationPart.PEER),
        probed=probed,
        listener=context.settings.listener,
        now=context.now(),
    )
