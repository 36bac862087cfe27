"""Peers and destinations: added, edited, removed, and every change of them taken back."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from console.api.etags import IfMatch, answer, demand
from console.api.idempotency import IdempotencyKey, once_apart
from console.api.problem import documented
from console.api.routes import V1, RowId, router_of
from console.context import Context, ContextDep
from console.security.access import Admin
from console.services import configuration, told
from console.services.configuration import Configured
from console.services.values import PARTS, values_of
from console.shapes import configuration as shapes
from console.shapes.administration import Reason, Why
from console.shapes.base import Page

router: APIRouter = router_of("configuration")

_ROOT = "/configuration/{part}"
_ONE = _ROOT + "/item"
_ERRORS = documented(400, 404, 409, 412, 413)
_PART_OF = {name: part for part, name in PARTS.items()}

Part = Annotated[shapes.Part, Path(description="Of which list.", examples=["destinations"])]
Name = Annotated[
    str,
    Query(
        min_length=1,
        max_length=128,
        description="A destination's name; a peer's AE title and network (`CR1@10.0.0.0/8`).",
        examples=["pacs"],
    ),
]


@router.get("/configuration-changes", response_model=Page[shapes.Change])
def list_changes(request: Request, context: ContextDep, who: Admin) -> Response:
    """List what was changed of peers and destinations, newest first: the last 500."""
    found = [_change(each) for each in told.history(context, 500)]
    return answer(request, Page[shapes.Change](items=found, next=None))


@router.post(
    "/configuration-changes/{change_id}/undo", response_model=shapes.Change, responses=_ERRORS
)
def undo_change(
    change_id: RowId,
    body: Why,
    request: Request,
    context: ContextDep,
    who: Admin,
    key: IdempotencyKey = None,
) -> Response:
    """Take a change back: what held before it holds again. That is a change too."""

    def act() -> shapes.Change:
        made = configuration.undo(context, who, change_id, body.reason)
        return _change(told.one(context, made))

    return once_apart(context, who, request, key, body, act)


@router.get(_ROOT, response_model=Page[shapes.Configured], responses=documented(404))
def list_configured(part: Part, request: Request, context: ContextDep, who: Admin) -> Response:
    """List the peers or destinations with all that is set of them; those removed here too."""
    found = [_told(each) for each in configuration.listed(context, _PART_OF[part])]
    return answer(request, Page[shapes.Configured](items=found, next=None))


@router.post(_ROOT, status_code=201, response_model=shapes.Configured, responses=_ERRORS)
def add_configured(
    part: Part,
    body: shapes.NewConfigured,
    request: Request,
    context: ContextDep,
    who: Admin,
    key: IdempotencyKey = None,
) -> Response:
    """Add a peer or destination. It holds within seconds."""

    def act() -> shapes.Configured:
        made = configuration.save(
            context, who, _PART_OF[part], body.values, name=None, version=0, reason=body.reason
        )
        return _find(context, part, made)

    return once_apart(context, who, request, key, body, act, status=201)


@router.get(_ONE, response_model=shapes.Configured, responses=documented(304, 404))
def read_configured(
    part: Part, name: Name, request: Request, context: ContextDep, who: Admin
) -> Response:
    """Tell all that is set of a peer or destination."""
    return answer(request, _find(context, part, name))


@router.put(_ONE, response_model=shapes.Configured, responses=_ERRORS)
def change_configured(
    part: Part,
    name: Name,
    body: shapes.NewConfigured,
    request: Request,
    context: ContextDep,
    who: Admin,
    if_match: IfMatch = None,
) -> Response:
    """Set a peer or destination as it shall be, whole. It holds within seconds.

    The name and kind of a destination stay. A peer with another AE title or network is another one:
    that removes this one and adds the other.
    """
    version = _version(context, part, name, if_match)
    values = configuration.keeping(context, _PART_OF[part], name, body.values)
    made = configuration.save(
        context, who, _PART_OF[part], values, name=name, version=version, reason=body.reason
    )
    return answer(request, _find(context, part, made), headers=_location(part, made))


@router.delete(_ONE, status_code=204, response_class=Response, responses=documented(404, 409, 412))
def remove_configured(
    part: Part,
    name: Name,
    context: ContextDep,
    who: Admin,
    reason: Annotated[Reason, Query()] = "",
    if_match: IfMatch = None,
) -> Response:
    """Have a peer or destination not be there, whatever hilum.toml says."""
    version = _version(context, part, name, if_match)
    configuration.remove(context, who, _PART_OF[part], name, version=version, reason=reason)
    return Response(None, 204)


@router.post(_ONE + "/reset", response_model=shapes.Change, responses=_ERRORS)
def reset_configured(
    part: Part,
    name: Name,
    body: Why,
    request: Request,
    context: ContextDep,
    who: Admin,
    if_match: IfMatch = None,
) -> Response:
    """Have a peer or destination as hilum.toml has it; where that has none, it is gone."""
    version = _version(context, part, name, if_match)
    made = configuration.reset(
        context, who, _PART_OF[part], name, version=version, reason=body.reason
    )
    return answer(request, _change(told.one(context, made)))


def _version(context: Context, part: shapes.Part, name: str, if_match: str | None) -> int:
    """Return the version that a change is decided by: the service holds it against the latest one
    in the transaction of the change."""
    found = _find(context, part, name)
    demand(if_match, found)
    return found.version


def _find(context: Context, part: shapes.Part, name: str) -> shapes.Configured:
    return _told(configuration.find(context, _PART_OF[part], name))


def _told(found: Configured) -> shapes.Configured:
    return shapes.Configured(
        part=PARTS[found.part],
        name=found.name,
        version=found.version,
        changed=found.is_changed,
        in_file=found.file is not None,
        values=None if found.now is None else values_of(found.now),
    )


def _change(found: told.Told) -> shapes.Change:
    change = found.change
    return shapes.Change(
        id=change.id,
        part=PARTS[change.part],
        name=change.name,
        kind=change.kind.value,
        keys=[shapes.ChangedKey(key=key, was=was, now=now) for key, was, now in found.keys],
        at=change.at,
        by=change.by,
        reason=change.reason,
        undoes=change.undoes,
        may_be_undone=found.may_be_undone,
    )


def _location(part: shapes.Part, name: str) -> dict[str, str]:
    return {"Content-Location": f"{V1}/configuration/{part}/item?{urlencode({'name': name})}"}
