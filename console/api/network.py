"""Destinations and peers: how each stands, whether it is there, and whether it gets anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from console.api.etags import IfMatch, answer, demand
from console.api.problem import documented
from console.api.routes import router_of
from console.context import Context, ContextDep
from console.security.access import Admin, Operator
from console.services import destinations, peers
from console.shapes import administration as shapes
from console.shapes.base import Page

router: APIRouter = router_of("network")

Name = Annotated[
    str,
    Path(
        min_length=1,
        max_length=96,
        pattern=r"^[\w.-]+$",
        description="The destination.",
        examples=["pacs"],
    ),
]
_ERRORS = documented(400, 404, 412, 413)


@router.get("/destinations", response_model=Page[shapes.Destination])
def list_destinations(request: Request, context: ContextDep, who: Operator) -> Response:
    """List the destinations: what waits for each and why, what it refused, whether it is paused."""
    found = [_told(each) for each in destinations.listed(context)]
    return answer(request, Page[shapes.Destination](items=found, next=None))


@router.get("/destinations/{name}", response_model=shapes.Destination, responses=documented(404))
def read_destination(name: Name, request: Request, context: ContextDep, who: Operator) -> Response:
    """Tell how a destination stands."""
    return answer(request, _find(context, name))


@router.post("/destinations/{name}/echo", response_model=shapes.Probe, responses=documented(404))
def echo_destination(name: Name, request: Request, context: ContextDep, who: Admin) -> Response:
    """Ask a destination whether it is there: C-ECHO, or what its kind has in its place."""
    return answer(request, shapes.Probe.model_validate(destinations.check(context, name)))


@router.put("/destinations/{name}/pause", response_model=shapes.Destination, responses=_ERRORS)
def pause_destination(
    name: Name,
    body: shapes.NewPause,
    request: Request,
    context: ContextDep,
    who: Operator,
    if_match: IfMatch = None,
) -> Response:
    """Send a destination nothing until it is resumed; what is for it waits, and nothing is lost."""
    destinations.pause(context, who, name, body.reason, known=_as_known(if_match))
    return answer(request, _find(context, name))


@router.delete(
    "/destinations/{name}/pause", response_model=shapes.Destination, responses=documented(404, 412)
)
def resume_destination(
    name: Name, request: Request, context: ContextDep, who: Operator, if_match: IfMatch = None
) -> Response:
    """Send a destination what waits for it, at once."""
    before: list[shapes.Destination] = []

    def known(found: destinations.Standing) -> None:
        before.append(_told(found))
        demand(if_match, before[0])

    destinations.resume(context, who, name, known=known)
    return answer(request, before[0].model_copy(update={"pause": None}))


@router.get("/peers", response_model=Page[shapes.Peer])
def list_peers(request: Request, context: ContextDep, who: Admin) -> Response:
    """List who may send, and when the last study of each came."""
    found = [
        shapes.Peer(
            name=each.name,
            ae_title=each.peer.ae_title,
            address=str(each.peer.address),
            port=each.peer.port,
            may_be_called=each.may_be_called,
            last_came=each.last_came,
        )
        for each in peers.listed(context)
    ]
    return answer(request, Page[shapes.Peer](items=found, next=None))


@router.post("/peers/echo", response_model=shapes.Probe, responses=documented(400, 404, 409, 413))
def echo_peer(
    body: shapes.PeerAsked, request: Request, context: ContextDep, who: Admin
) -> Response:
    """Ask a peer by C-ECHO whether it is there."""
    return answer(request, shapes.Probe.model_validate(peers.check(context, body.name)))


def _as_known(if_match: str | None) -> Callable[[destinations.Standing], None]:
    """Return what holds a destination, in the transaction of a change, against what is known."""
    return lambda found: demand(if_match, _told(found))


def _find(context: Context, name: str) -> shapes.Destination:
    return _told(destinations.find(context, name))


def _told(found: destinations.Standing) -> shapes.Destination:
    pause = found.lane.pause
    return shapes.Destination(
        name=found.name,
        configured=found.configured is not None,
        kind=None if found.configured is None else found.configured.kind,
        where=found.where,
        waiting=found.lane.waiting,
        oldest=found.lane.oldest,
        problem=found.lane.problem,
        rejected=found.lane.rejected,
        sent_at=found.lane.sent_at,
        pause=None if pause is None else shapes.Pause.model_validate(pause),
    )
