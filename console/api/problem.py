"""Errors of the API, as problem details (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import JSONResponse

PREFIX = "/api/"
"""What the paths of the API begin with."""


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return an error: its status, and a sentence about this occurrence of it."""
    told = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    if detail and detail != told["title"]:
        told["detail"] = detail
    return JSONResponse(told, status, headers, media_type="application/problem+json")
