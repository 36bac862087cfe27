"""The service as a whole, and who calls."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from console.api.etags import answer
from console.api.routes import router_of
from console.context import ContextDep
from console.security.access import Reader
from console.shapes import service as shapes
from db import alarms
from db.people import ApiToken
from db.standing import standing

router: APIRouter = router_of("service")


@router.get("/me", response_model=shapes.Me)
def read_me(request: Request, context: ContextDep, who: Reader) -> Response:
    """Tell who calls, with which role, and until when the token is good."""
    expires_at = None
    if who.token_id is not None:
        with context.database.read() as session:
            expires_at = session.get_one(ApiToken, who.token_id).expires_at
    return answer(
        request,
        shapes.Me(
            user_id=who.user_id,
            name=who.name,
            role=who.role,
            token_id=who.token_id,
            token_expires_at=expires_at,
        ),
    )


@router.get("/health", response_model=shapes.Health)
def read_health(request: Request, context: ContextDep, who: Reader) -> Response:
    """Tell how the service does: what waits, for how long, and which alarms are not over."""
    with context.database.read() as session:
        now = context.database.now(session)
        found = standing(session)
        wrong = alarms.standing(session)
    return answer(
        request,
        shapes.Health(
            status="alarm" if wrong else "ok",
            version=version("hilum"),
            now=now,
            free_bytes=context.files.free_bytes(),
            open_studies=found.open_studies,
            tasks=[shapes.Tasks.model_validate(each) for each in found.tasks],
            undelivered=[shapes.Undelivered.model_validate(each) for each in found.undelivered],
            alarms=[shapes.Alarm.model_validate(each) for each in wrong],
        ),
    )
