"""What every router of the API begins with: its path, its pace, the errors that it may answer."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

from fastapi import APIRouter, Depends, Path
from starlette.exceptions import HTTPException

from console.api.problem import documented
from console.context import ContextDep
from console.security.access import Known

V1 = "/api/v1"
ALWAYS = (401, 403, 422, 429, 503)

StudyId = Annotated[
    int, Path(ge=1, le=2**63 - 1, description="Our number of the study.", examples=[12])
]
RowId = Annotated[int, Path(ge=1, le=2**63 - 1, examples=[3])]


def _paced(context: ContextDep, who: Known) -> None:
    """Count the request.

    Raises:
        HTTPException: 429, it is one too many.
    """
    wait = context.pace.take(who.viewer, context.settings.console.requests_per_minute)
    if wait:
        sentence = f"Too many requests. Go on in {wait} seconds."
        raise HTTPException(429, sentence, {"Retry-After": str(wait)})


def router_of(tag: str) -> APIRouter:
    """Return a router for one noun."""
    tags: list[str | Enum] = [tag]
    return APIRouter(
        prefix=V1, tags=tags, dependencies=[Depends(_paced)], responses=documented(*ALWAYS)
    )
