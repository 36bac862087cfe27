"""Verdicts: what readers say of readings, and how bundles agree with it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from sqlalchemy.orm import Session
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from console.api.etags import answer
from console.api.idempotency import IdempotencyKey, once
from console.api.problem import documented
from console.api.routes import StudyId, router_of
from console.api.studies import seen
from console.context import ContextDep
from console.security.access import Reader
from console.services import study
from console.shapes import verdicts as shapes
from console.shapes.base import Page
from db import models, verdicts
from db.verdicts import NewVerdict, VerdictError

router: APIRouter = router_of("verdicts")


@router.get(
    "/studies/{study_id}/verdicts", response_model=Page[shapes.Verdict], responses=documented(404)
)
def list_verdicts(
    study_id: StudyId, request: Request, context: ContextDep, who: Reader
) -> Response:
    """List what was said of a study's readings, the latest last."""
    seen(context, who, study_id)
    with context.database.read() as session:
        found = [_told(each) for each in verdicts.of_study(session, study_id)]
    return answer(request, Page[shapes.Verdict](items=found, next=None))


@router.post(
    "/studies/{study_id}/verdicts",
    status_code=201,
    response_model=shapes.Verdict,
    responses=documented(400, 404, 413),
)
def give_verdict(
    study_id: StudyId,
    body: shapes.NewVerdict,
    request: Request,
    context: ContextDep,
    who: Reader,
    key: IdempotencyKey = None,
) -> Response:
    """Say what you think of a reading. It changes nothing that was sent."""
    boxes = body.boxes
    new = NewVerdict(
        body.reading_id,
        body.finding,
        None if boxes is None else tuple((b.x, b.y, b.width, b.height) for b in boxes),
        body.comment,
        who.name,
    )

    def act(session: Session) -> shapes.Verdict:
        try:
            kept = study.judge(session, study_id, new, now=context.database.now(session))
        except VerdictError as error:
            raise HTTPException(422, str(error)) from None
        return _told(kept)

    def told() -> None:
        said = f"Verdict on reading {body.reading_id}: {body.finding}."
        study.told(context, who, study_id, said)

    return once(context, who, request, key, body, act, status=201, told=told)


@router.get("/verdicts/agreement", response_model=Page[shapes.Agreement])
def read_agreement(
    asked: Annotated[shapes.AgreementAsked, Query()],
    request: Request,
    context: ContextDep,
    who: Reader,
) -> Response:
    """Tell how readings agree with verdicts: by bundle, source or station."""
    with context.database.read() as session:
        found = verdicts.agreement(session, since=asked.since, until=asked.until, by=asked.by)
    items = [shapes.Agreement.model_validate(each) for each in found]
    return answer(request, Page[shapes.Agreement](items=items, next=None))


def _told(verdict: models.Verdict) -> shapes.Verdict:
    return shapes.Verdict.model_validate(
        {
            "id": verdict.id,
            "film_id": verdict.instance_id,
            "reading_id": verdict.reading_id,
            "finding": verdict.finding,
            "boxes": verdict.boxes,
            "comment": verdict.comment,
            "by": verdict.by,
            "at": verdict.at,
        }
    )
