"""The audit trail: looked through, and checked."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from audit.file import Verified
from audit.reading import Page, Wanted
from console.context import Context, ContextDep
from console.pages.administration.sections import ROOT, section
from console.security.access import Admin
from console.security.who import Who
from console.services import trail
from console.services.errors import RefusedError

router = APIRouter(include_in_schema=False)

KINDS = {
    "110114": "Logins and logouts",
    "110113": "Security alerts: all",
    "110129": "Configuration of security: users, tokens, peers",
    "110131": "Configuration of software: bundles",
    "110132": "Backup and restore",
    "110126": "Refused associations and connections",
    "110103": "Studies that were looked at",
    "110112": "Lists and queries",
    "110104": "Films and results that came and went",
    "110106": "Exports",
    "110105": "Studies that were deleted",
    "110110": "Patients who were erased",
    "110100": "Starts and stops",
    "110101": "Looks at the audit trail",
}
"""What may be looked for, by EventID or EventTypeCode."""

_PAGE = 50


@router.get(f"{ROOT}/audit")
def show(
    request: Request,
    context: ContextDep,
    who: Admin,
    kind: Annotated[str, Query(max_length=16)] = "",
    user: Annotated[str, Query(max_length=100)] = "",
    outcome: Annotated[str, Query(pattern="^(|success|failure)$")] = "",
    day: Annotated[str, Query(max_length=10)] = "",
    after: Annotated[str, Query(max_length=40)] = "",
) -> Response:
    """Show a page of it, newest first; that is recorded in it too."""
    asked = {"kind": kind, "user": user, "outcome": outcome, "day": day}
    try:
        wanted = Wanted(
            code=kind,
            user=user.strip(),
            failed=None if not outcome else outcome == "failure",
            until=_end_of(day),
        )
        found = trail.page(context, who, wanted, limit=_PAGE, after=after or None)
    except RefusedError as refused:
        return _page(request, who, context, asked, Page([], None, 0), refused=refused)
    return _page(request, who, context, asked, found)


@router.post(f"{ROOT}/audit/verify")
def verify(request: Request, context: ContextDep, who: Admin) -> Response:
    """Hold every record against the one before it."""
    try:
        checked = trail.verify(context)
    except RefusedError as refused:
        return _page(request, who, context, {}, Page([], None, 0), refused=refused)
    found = trail.page(context, who, Wanted(), limit=_PAGE)
    return _page(request, who, context, {}, found, checked=checked)


def _page(
    request: Request,
    who: Who,
    context: Context,
    asked: dict[str, str],
    found: Page,
    *,
    checked: Verified | None = None,
    refused: RefusedError | None = None,
) -> Response:
    given = {key: value for key, value in asked.items() if value}
    return section(
        request,
        "audit.html",
        who,
        refused=refused,
        found=found,
        asked={"kind": "", "user": "", "outcome": "", "day": "", **asked},
        kinds=KINDS,
        more=urlencode({**given, "after": found.next}) if found.next else "",
        checked=checked,
        enabled=context.settings.audit.enabled,
    )


def _end_of(day: str) -> datetime | None:
    """Return the first moment (UTC) after a day; None where none is given."""
    if not day:
        return None
    try:
        last = date.fromisoformat(day)
    except ValueError:
        raise RefusedError("A day is written like 2026-11-29.") from None
    return datetime.combine(last + timedelta(days=1), time(), UTC)
