"""The settings in effect, and where each of them comes from; secrets are masked."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from console.context import ContextDep
from console.pages.administration.sections import ROOT, section
from console.security.access import Admin
from settings import doubts
from settings.effective import effective

router = APIRouter(include_in_schema=False)


@router.get(f"{ROOT}/settings")
def show(
    request: Request,
    context: ContextDep,
    who: Admin,
    search: Annotated[str, Query(max_length=100)] = "",
    changed: Annotated[bool, Query()] = False,
) -> Response:
    """List them: all, those whose key or value holds `search`, those that are no default."""
    values = effective(context.settings, context.origins)
    found = [
        each
        for each in values
        if search.lower() in f"{each.key} {each.value}".lower()
        and not (changed and each.origin == "default")
    ]
    return section(
        request,
        "settings.html",
        who,
        values=found,
        total=len(values),
        search=search,
        changed=changed,
        doubts=list(doubts(context.settings)),
    )
