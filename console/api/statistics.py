"""Figures over a period, as the monitoring page has them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from console.api.etags import answer
from console.api.routes import router_of
from console.context import ContextDep
from console.pages.span import Span
from console.security.access import Reader
from console.shapes import statistics as shapes
from console.shapes.base import Page
from db.sums.ask import summed
from db.sums.drift import bundles, drifts
from db.sums.flow import flow
from db.sums.periods import Period
from db.sums.shadow import agreements
from db.sums.threshold import STEP, standings

router: APIRouter = router_of("statistics")

_LONGEST = timedelta(days=3 * 366)
_USUAL = timedelta(days=7)


@router.get("/statistics/flow", response_model=shapes.Flow)
def read_flow(
    asked: Annotated[shapes.FlowAsked, Query()], request: Request, context: ContextDep, who: Reader
) -> Response:
    """Tell how the work of a period flowed: films, waiting, latency, by hour, day or week."""
    with context.database.read() as session:
        now = context.database.now(session)
        span = _span(asked, now)
        found = flow(
            session,
            span.period,
            summed(session),
            length=span.flow_length,
            now=now,
            source=asked.source,
        )
    return answer(request, shapes.Flow.model_validate(found))


@router.get("/statistics/drift", response_model=Page[shapes.Drift])
def read_drift(
    asked: Annotated[shapes.BundleOfPeriodAsked, Query()],
    request: Request,
    context: ContextDep,
    who: Reader,
) -> Response:
    """Tell whether what a bundle says, or is given, has moved: by source and station."""
    with context.database.read() as session:
        span = _span(asked, context.database.now(session))
        known = summed(session)
        used = bundles(session, span.period, known)
        chosen = asked.bundle or (used[0][0] if used else "")
        length = span.drift_length(dict(used).get(chosen, 0))
        found = drifts(session, span.period, known, bundle=chosen, length=length)
    items = [shapes.Drift.model_validate(each) for each in found.values()]
    return answer(request, Page[shapes.Drift](items=items, next=None))


@router.get("/statistics/shadow", response_model=Page[shapes.ShadowAgreement])
def read_shadow(
    asked: Annotated[shapes.PeriodAsked, Query()],
    request: Request,
    context: ContextDep,
    who: Reader,
) -> Response:
    """Tell how bundles in shadow agreed with the active one."""
    with context.database.read() as session:
        span = _span(asked, context.database.now(session))
        found = agreements(session, span.period, summed(session))
    items = [shapes.ShadowAgreement.model_validate(each) for each in found]
    return answer(request, Page[shapes.ShadowAgreement](items=items, next=None))


@router.get("/statistics/threshold", response_model=Page[shapes.WhatIf])
def read_threshold(
    asked: Annotated[shapes.ThresholdAsked, Query()],
    request: Request,
    context: ContextDep,
    who: Reader,
) -> Response:
    """Tell what another threshold, to three decimals, would have changed: of all, and by source."""
    threshold = round(asked.threshold / STEP) * STEP
    with context.database.read() as session:
        span = _span(asked, context.database.now(session))
        found = standings(session, span.period, summed(session), bundle=asked.bundle)
    items = [shapes.WhatIf.model_validate(each.at(threshold)) for each in found]
    return answer(request, Page[shapes.WhatIf](items=items, next=None))


def _span(asked: shapes.PeriodAsked, now: datetime) -> Span:
    """Return the period that is asked for.

    Raises:
        HTTPException: 422, it ends before it begins, or is too long.
    """
    until = asked.until or max(now, asked.since or now)
    since = asked.since or until - _USUAL
    if not since <= until:
        raise HTTPException(422, "until: it lies before since")
    if until - since > _LONGEST:
        raise HTTPException(422, "since: a period is at most three years long")
    period = Period.around(since, until)
    if period.since == period.until:
        period = Period(period.since, period.until + timedelta(hours=1))
    return Span(period, None, period.since.date(), period.until.date())
