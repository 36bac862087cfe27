"""Errors of the API, as problem details (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from console.shapes.base import Problem, Wrong

PREFIX = "/api/"
"""What the paths of the API begin with."""
MEDIA_TYPE = "application/problem+json"
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="hilum"'}


def problem(
    status: int,
    detail: str,
    headers: Mapping[str, str] | None = None,
    errors: Sequence[Wrong] = (),
) -> Response:
    """Return an error: its status, a sentence about this occurrence of it, and its parts.

    Whoever is not known is told how to make known who calls (RFC 9110 11.6.1).
    """
    title = HTTPStatus(status).phrase
    told = Problem(
        title=title,
        status=status,
        detail=detail if detail and detail != title else None,
        errors=list(errors) or None,
    )
    given = {**(headers or {})}
    if status == 401 and "WWW-Authenticate" not in given:
        given |= _CHALLENGE
    return Response(told.model_dump_json(exclude_none=True), status, given, media_type=MEDIA_TYPE)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what the OpenAPI document says of answers with these statuses."""
    content = {"content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    return {
        status: {"description": _WHEN[status], **(content if status >= 400 else {})}
        for status in statuses
    }


_WHEN = {
    304: "It is as you know it.",
    400: "What was sent cannot be read.",
    401: "It is not known who calls: no token or session, or one that is not good.",
    403: "The token's scopes or the user's role do not reach so far.",
    404: "There is no such thing.",
    409: "It cannot be done as things stand.",
    412: "It has changed: If-Match does not fit any more.",
    413: "What was sent is too long.",
    415: "What was sent is of another type than is asked for.",
    422: "Something of the request is not as it must be.",
    429: "Too many requests; Retry-After says when to go on.",
    503: "The database or the object store does not answer.",
}
