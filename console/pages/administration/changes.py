"""What was changed of peers and destinations, by whom, and the way back."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import Response

from console.context import Context, ContextDep
from console.pages.administration.sections import ROOT, back_to, section
from console.security.access import Admin
from console.security.who import Who
from console.services import configuration, told
from console.services.errors import RefusedError

router = APIRouter(include_in_schema=False)


@router.get(f"{ROOT}/changes")
def show(request: Request, context: ContextDep, who: Admin) -> Response:
    """List the changes, newest first."""
    return _page(request, context, who)


@router.post(f"{ROOT}/changes/undo")
def undo(
    request: Request,
    context: ContextDep,
    who: Admin,
    change: Annotated[int, Form(ge=1, le=2**53)],
    reason: Annotated[str, Form(max_length=500)] = "",
) -> Response:
    """Take one back."""
    try:
        configuration.undo(context, who, change, reason)
    except RefusedError as refused:
        return _page(request, context, who, refused=refused)
    return back_to("changes")


def _page(
    request: Request, context: Context, who: Who, *, refused: RefusedError | None = None
) -> Response:
    return section(request, "changes.html", who, refused=refused, changes=told.history(context))
