"""The worklist: studies of the last hours, and any others that are looked for."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from console.context import ContextDep
from console.pages.render import render
from console.security.access import Reader
from console.security.audited import listed
from db import history

router = APIRouter(include_in_schema=False)

_PAGE = 50


@router.get("/")
def worklist(request: Request, context: ContextDep, who: Reader) -> Response:
    """Show the newest studies."""
    with context.database.read() as session:
        now = context.database.now(session)
        studies = history.studies(session, history.Filter(), limit=_PAGE)
        delivered = history.deliveries(session, [study.id for study in studies])
    listed(context, who, {}, [study.id for study in studies], what="worklist")
    return render(request, "worklist.html", who=who, now=now, studies=studies, delivered=delivered)
