"""What readers say of the readings: how far they agree, and the films that they have labelled."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from console.context import ContextDep
from console.pages.render import render
from console.security.access import Admin, Reader
from console.services import exports
from db import verdicts
from db.verdicts import GroupedBy

router = APIRouter(include_in_schema=False)


@router.get("/verdicts")
def show(
    request: Request,
    context: ContextDep,
    who: Reader,
    by: Annotated[GroupedBy, Query()] = "bundle",
) -> Response:
    """Show how readings agree with verdicts."""
    with context.database.read() as session:
        groups = verdicts.agreement(session, by=by)
    return render(request, "verdicts.html", who=who, groups=groups, by=by)


@router.post("/verdicts/export")
def export(context: ContextDep, who: Admin) -> Response:
    """Send the films that verdicts speak of as a training set, in a ZIP that is made as it goes."""
    parts = exports.training_set_zip(context, who)
    headers = {"Content-Disposition": 'attachment; filename="hilum-verdicts.zip"'}
    return StreamingResponse(parts, media_type="application/zip", headers=headers)
