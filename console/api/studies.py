"""Studies: one with everything, its events and its deliveries."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from sqlalchemy import select
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from console.api import told
from console.api.cursors import Cursor, Limit, NotGivenOutError, decode, encode, link_to, moment
from console.api.etags import IfNoneMatch, answer
from console.api.problem import documented
from console.api.routes import StudyId, router_of
from console.context import Context, ContextDep
from console.security.access import Reader
from console.security.audited import listed, viewed
from console.security.who import Who
from console.shapes import studies as shapes
from console.shapes.base import Page
from console.shapes.listing import StudiesAsked, StudiesPage
from db import history, worklist
from db.models import Event, Study

router: APIRouter = router_of("studies")

_NONE = documented(404)


@router.get("/studies", response_model=Page[shapes.StudyRow])
def list_studies(
    asked: Annotated[StudiesPage, Query()], request: Request, context: ContextDep, who: Reader
) -> Response:
    """List studies by any filter of the worklist."""
    of = asked.model_dump(mode="json", exclude={"limit", "cursor"}, exclude_defaults=True)
    order = worklist.Order(asked.order)
    with context.database.read() as session:
        found = worklist.page(
            session,
            filter_of(asked),
            order,
            limit=asked.limit,
            after=_key(asked.cursor, of, order),
        )
        sent = history.deliveries(session, [study.id for study in found.studies])
    listed(context, who, of, [study.id for study in found.studies], what="studies")
    goes_on = None
    if found.more_after:
        last = worklist.key_of(found.studies[-1], order)
        value = last.value.isoformat() if isinstance(last.value, datetime) else last.value
        goes_on = encode([value, last.study_id], of)
    page = Page[shapes.StudyRow](
        items=[told.row_of(study, sent.get(study.id, [])) for study in found.studies], next=goes_on
    )
    return answer(request, page, headers=link_to(request, goes_on))


@router.get(
    "/studies/{study_id}",
    response_model=shapes.Study,
    responses=documented(304, 404),
)
def read_study(
    study_id: StudyId,
    request: Request,
    context: ContextDep,
    who: Reader,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Tell everything that is known of a study: films, readings, reports, results, deliveries."""
    with context.database.read() as session:
        found = told.whole(session, study_id)
        study = session.get(Study, study_id)
    if found is None or study is None:
        raise missing(study_id)
    viewed(context, who, [study])
    return answer(request, found)


@router.get("/studies/{study_id}/events", response_model=Page[shapes.Event], responses=_NONE)
def list_events(
    study_id: StudyId,
    request: Request,
    context: ContextDep,
    who: Reader,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """List every state that a study, its films and its deliveries have gone through, in order."""
    of = {"events": study_id}
    after = decode(cursor, of, int)
    seen(context, who, study_id)
    query = select(Event).where(Event.study_id == study_id).order_by(Event.id).limit(limit + 1)
    if after:
        query = query.where(Event.id > after[0])
    with context.database.read() as session:
        rows = list(session.scalars(query))
    goes_on = encode([rows[limit - 1].id], of) if len(rows) > limit else None
    items = [shapes.Event.model_validate(each) for each in rows[:limit]]
    page = Page[shapes.Event](items=items, next=goes_on)
    return answer(request, page, headers=link_to(request, goes_on))


@router.get(
    "/studies/{study_id}/deliveries", response_model=Page[shapes.StudyDelivery], responses=_NONE
)
def list_deliveries(
    study_id: StudyId, request: Request, context: ContextDep, who: Reader
) -> Response:
    """List what of a study was sent or is to be, with the receipts: every revision, all at once."""
    seen(context, who, study_id)
    with context.database.read() as session:
        found = told.deliveries_of(session, study_id)
    return answer(request, Page[shapes.StudyDelivery](items=found, next=None))


def filter_of(asked: StudiesAsked) -> worklist.Filter:
    """Return what is asked for as the worklist knows it."""
    given = asked.model_dump(exclude={"limit", "cursor", "order", "source", "delivered"})
    delivered = None if asked.delivered is None else worklist.Delivered(asked.delivered)
    return worklist.Filter(**given, source_ae=asked.source, delivered=delivered)


def missing(study_id: int) -> HTTPException:
    """Return the error that there is no such study."""
    return HTTPException(404, f"There is no study {study_id}.")


def seen(context: Context, who: Who, study_id: int) -> None:
    """Have the audit trail tell who is shown a study.

    Raises:
        HTTPException: 404, there is none.
    """
    with context.database.read() as session:
        study = session.get(Study, study_id)
    if study is None:
        raise missing(study_id)
    viewed(context, who, [study])


def _key(cursor: str | None, of: dict[str, Any], order: worklist.Order) -> worklist.Key | None:
    """Return the place in the list that a cursor goes on after.

    Raises:
        HTTPException: 422, it is none of this list.
    """
    by_time = order is worklist.Order.NEWEST
    after = decode(cursor, of, str if by_time else (int, float), int)
    if not after:
        return None
    value, study_id = after
    try:
        place = moment(value) if by_time else float(value)
    except (ValueError, OverflowError):
        raise NotGivenOutError from None
    return worklist.Key(place, study_id)
