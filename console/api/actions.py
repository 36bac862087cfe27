"""What an operator has done with a study: tried again, sent again, read again."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from console.api import told
from console.api.etags import IfMatch, demand
from console.api.idempotency import IdempotencyKey, once, once_apart
from console.api.problem import documented
from console.api.routes import StudyId, router_of
from console.api.studies import missing
from console.context import Context, ContextDep
from console.security.access import Operator
from console.security.who import Who
from console.services import study
from console.shapes.actions import ReadAgain, ReadDone, Resend, Retried

router: APIRouter = router_of("actions")

_ERRORS = documented(400, 404, 412, 413)


@router.post("/studies/{study_id}/retry", response_model=Retried, responses=_ERRORS)
def retry_study(
    study_id: StudyId,
    request: Request,
    context: ContextDep,
    who: Operator,
    key: IdempotencyKey = None,
    if_match: IfMatch = None,
) -> Response:
    """Put back to work what has failed of a study: films set aside or refused, a report that could
    not be made, objects that were rejected or wait."""

    def act(session: Session) -> Retried:
        again = study.retry(session, who, study_id, now=context.database.now(session))
        return Retried(study_id=study_id, films=again.films, deliveries=again.deliveries)

    return _with_study(context, who, request, study_id, key, if_match, None, act, "Tried again")


@router.post("/studies/{study_id}/resend", response_model=Retried, responses=_ERRORS)
def resend_study(
    study_id: StudyId,
    body: Resend,
    request: Request,
    context: ContextDep,
    who: Operator,
    key: IdempotencyKey = None,
    if_match: IfMatch = None,
) -> Response:
    """Send the latest results of a study again, to all of their destinations."""

    def act(session: Session) -> Retried:
        now = context.database.now(session)
        again = study.resend(session, who, study_id, everything=body.everything, now=now)
        return Retried(study_id=study_id, films=0, deliveries=again.deliveries)

    return _with_study(context, who, request, study_id, key, if_match, body, act, "Sent again")


@router.post(
    "/studies/{study_id}/read", response_model=ReadDone, responses=documented(400, 404, 409, 413)
)
def read_study_again(
    study_id: StudyId,
    body: ReadAgain,
    request: Request,
    context: ContextDep,
    who: Operator,
    key: IdempotencyKey = None,
) -> Response:
    """Have the films of a study read again: by the active bundle, which makes a further revision of
    its report, or by another one, whose word is kept for comparison and sent to nobody."""
    other = body.bundle
    if other is not None:

        def beside() -> ReadDone:
            count = study.read_beside(context, who, study_id, other)
            return ReadDone(study_id=study_id, films=count, sent=False)

        return once_apart(context, who, request, key, body, beside)

    def act(session: Session) -> ReadDone:
        again = study.read_anew(session, who, study_id, now=context.database.now(session))
        return ReadDone(study_id=study_id, films=again.films, sent=True)

    def told() -> None:
        study.told(context, who, study_id, "Read again by the active bundle.")

    return once(context, who, request, key, body, act, told=told)


def _with_study(
    context: Context,
    who: Who,
    request: Request,
    study_id: int,
    key: str | None,
    if_match: str | None,
    body: BaseModel | None,
    act: Callable[[Session], BaseModel],
    what: str,
) -> Response:
    """Do something with a study once, if there is one and it is as the caller knows it."""

    def with_it(session: Session) -> BaseModel:
        found = told.whole(session, study_id, for_change=True)
        if found is None:
            raise missing(study_id)
        demand(if_match, found)
        return act(session)

    def tell() -> None:
        study.told(context, who, study_id, f"{what} by the API.")

    return once(context, who, request, key, body, with_it, told=tell)
