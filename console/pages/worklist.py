"""The worklist: studies of the last hours, and any others that are looked for; and its exports."""

from __future__ import annotations

import hashlib

from fastapi import APIRouter
from markupsafe import Markup
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

import db.worklist
from console.context import ContextDep
from console.pages.asked import Asked, AskedDep, key_text, read_key
from console.pages.render import html, render
from console.pages.worklist_filters import choices, groups, orders, others
from console.pages.worklist_rows import FINDINGS, rows
from console.pages.zone import ZoneDep
from console.security.access import Reader
from console.security.audited import listed
from console.services import exports
from db.states import StudyState
from db.worklist import Delivered, Filter, Page, key_of

router = APIRouter(include_in_schema=False)

_LIMIT = 50
_WHAT = "worklist"


@router.get("/")
def worklist(
    request: Request, context: ContextDep, who: Reader, asked: AskedDep, zone: ZoneDep
) -> Response:
    """Show a page of the list, with what it can be filtered by."""
    with context.database.read() as session:
        now = context.database.now(session)
        page = _page(session, asked, asked.filter(now, zone))
        body = html(request, "worklist_rows.html", who=who, rows=rows(session, page.studies))
        found = choices(session, context.settings)
    listed(context, who, asked.told(), [study.id for study in page.studies], what=_WHAT)
    return render(
        request,
        "worklist.html",
        who=who,
        asked=asked,
        rows=Markup(body),  # from a template of ours, which has escaped it
        tag=_tag(body),
        groups=groups(asked, found),
        orders=orders(asked),
        others=others(asked, found),
        choices=found,
        findings=FINDINGS,
        states=list(StudyState),
        deliveries=list(Delivered),
        zone=str(zone),
        rows_href=asked.href("/worklist/rows", after=asked.after, before=asked.before),
        csv_href=asked.href("/worklist/export.csv"),
        json_href=asked.href("/worklist/export.json"),
        turn=_turn(asked, page),
    )


@router.get("/worklist/rows")
def worklist_rows(
    request: Request, context: ContextDep, who: Reader, asked: AskedDep, zone: ZoneDep
) -> Response:
    """Return the rows alone, for the page that looks again; 304 where they are the same."""
    with context.database.read() as session:
        now = context.database.now(session)
        page = _page(session, asked, asked.filter(now, zone))
        body = html(request, "worklist_rows.html", who=who, rows=rows(session, page.studies))
    tag = _tag(body)
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if tag in request.headers.get("If-None-Match", ""):
        return Response(status_code=304, headers=headers)
    listed(context, who, asked.told(), [study.id for study in page.studies], what=_WHAT)
    return Response(body, media_type="text/html", headers=headers)


@router.get("/worklist/export.csv")
def export_csv(context: ContextDep, who: Reader, asked: AskedDep, zone: ZoneDep) -> Response:
    """Give everything that fits as CSV."""
    wanted = asked.filter(context.now(), zone)
    lines = exports.studies(
        context, who, wanted, asked.order_shown, asked.told(), exports.CSV, what=_WHAT
    )
    return StreamingResponse(lines, media_type="text/csv", headers=_file("worklist.csv"))


@router.get("/worklist/export.json")
def export_json(context: ContextDep, who: Reader, asked: AskedDep, zone: ZoneDep) -> Response:
    """Give everything that fits as JSON."""
    wanted = asked.filter(context.now(), zone)
    parts = exports.studies(
        context, who, wanted, asked.order_shown, asked.told(), exports.JSON, what=_WHAT
    )
    return StreamingResponse(parts, media_type="application/json", headers=_file("worklist.json"))


def _page(session: Session, asked: Asked, wanted: Filter) -> Page:
    return db.worklist.page(
        session,
        wanted,
        asked.order_shown,
        limit=_LIMIT,
        after=None if asked.after is None else read_key(asked.after),
        before=None if asked.before is None else read_key(asked.before),
    )


def _tag(body: str) -> str:
    """Return the entity tag of rows (RFC 9110 8.8.3)."""
    return f'"{hashlib.sha256(body.encode()).hexdigest()[:32]}"'


def _turn(asked: Asked, page: Page) -> dict[str, str | None]:
    """Return the addresses of the first page and those on either side, None where there is none."""
    order = asked.order_shown
    ends = [key_text(key_of(page.studies[end], order)) for end in (0, -1) if page.studies]
    before, after = ends or (None, None)
    return {
        "back": asked.href(before=before) if page.more_before and before else None,
        "next": asked.href(after=after) if page.more_after and after else None,
        "first": asked.href() if page.more_before else None,
    }


def _file(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}
