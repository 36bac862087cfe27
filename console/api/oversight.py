"""What administrators look at: the audit trail, the settings in effect, what is deleted next."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from audit.reading import Wanted
from console.api.cursors import NotGivenOutError, decode, encode, link_to
from console.api.etags import answer
from console.api.problem import documented
from console.api.routes import router_of
from console.context import ContextDep
from console.security.access import Admin
from console.services import retention, trail
from console.shapes import administration as shapes
from console.shapes.base import Page
from console.shapes.oversight import RecordsAsked
from settings.effective import effective

router: APIRouter = router_of("oversight")


@router.get("/audit", response_model=Page[shapes.Record], responses=documented(409))
def list_records(
    asked: Annotated[RecordsAsked, Query()], request: Request, context: ContextDep, who: Admin
) -> Response:
    """List the audit trail of this machine, newest first; that it was read stands in it too.

    A page may be short, or even empty, with more to come.
    """
    of = asked.model_dump(mode="json", exclude={"limit", "cursor"}, exclude_defaults=True)
    after = decode(asked.cursor, {"audit": of}, str)
    wanted = Wanted(
        code=asked.code,
        user=asked.user.strip(),
        failed=asked.failed,
        since=asked.since,
        until=asked.until,
    )
    try:
        found = trail.page(
            context, who, wanted, limit=asked.limit, after=after[0] if after else None
        )
    except trail.NoSuchPlaceError:
        raise NotGivenOutError from None
    goes_on = None if found.next is None else encode([found.next], {"audit": of})
    items = [shapes.Record.model_validate(each) for each in found.records]
    page = Page[shapes.Record](items=items, next=goes_on)
    return answer(request, page, headers=link_to(request, goes_on))


@router.get("/audit/verification", response_model=shapes.Verified, responses=documented(409))
def verify_trail(request: Request, context: ContextDep, who: Admin) -> Response:
    """Hold every record of the trail against the one before it."""
    return answer(request, shapes.Verified.model_validate(trail.verify(context)))


@router.get("/settings", response_model=Page[shapes.Setting])
def list_settings(request: Request, context: ContextDep, who: Admin) -> Response:
    """List every setting in effect, and where it comes from; secrets are masked."""
    found = effective(context.settings, context.origins)
    items = [shapes.Setting.model_validate(each) for each in found]
    return answer(request, Page[shapes.Setting](items=items, next=None))


@router.get("/retention", response_model=shapes.Retention)
def read_retention(request: Request, context: ContextDep, who: Admin) -> Response:
    """Tell what is deleted after its time, and which studies are next."""
    plan = retention.plan(context)
    told = shapes.Retention(
        days=plan.rule.days,
        studies=plan.studies,
        oldest=[shapes.Due.model_validate(each) for each in plan.oldest],
    )
    return answer(request, told)
