"""What is deleted, and when."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from console.context import ContextDep
from console.pages.administration.sections import ROOT, section
from console.security.access import Admin
from console.services import retention

router = APIRouter(include_in_schema=False)


@router.get(f"{ROOT}/retention")
def show(request: Request, context: ContextDep, who: Admin) -> Response:
    """Show the rule in effect and what it deletes next."""
    plan = retention.plan(context)
    origin = context.origins.get("retention.days", "default")
    return section(request, "retention.html", who, plan=plan, origin=origin, now=context.now())
