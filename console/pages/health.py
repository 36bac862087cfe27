"""Whether the console works: for health checks, which have no login. It tells of no study."""

from __future__ import annotations

from fastapi import APIRouter
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import JSONResponse, Response

from console.context import ContextDep

router = APIRouter(include_in_schema=False)


@router.get("/health")
def health(context: ContextDep) -> Response:
    """Answer 200 where the database answers, else 503."""
    try:
        with context.database.read() as session:
            session.execute(text("SELECT 1"))
    except SQLAlchemyError:
        return JSONResponse({"service": "hilum console", "status": "unavailable"}, 503)
    return JSONResponse({"service": "hilum console", "status": "ok"})
