"""Entity tags (RFC 9110 8.8.3): answers that did not change, and changes to what did."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Annotated

from fastapi import Header
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')

IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        description="The ETag of what this is decided by: where it has changed since, nothing is"
        " done, and the answer is 412.",
    ),
]
IfNoneMatch = Annotated[
    str | None,
    Header(
        alias="If-None-Match",
        description="The ETag of what is known already: where nothing has changed, the answer is"
        " 304.",
    ),
]


def tag_of(shape: BaseModel) -> str:
    """Return the entity tag of a representation: the same for the same bytes."""
    return _tag(shape.model_dump_json().encode())


def answer(
    request: Request,
    shape: BaseModel,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Answer with a shape and its tag, or with 304 where the caller has it already."""
    body = shape.model_dump_json().encode()
    told = {"ETag": _tag(body), **(headers or {})}
    if fits(request.headers.get("If-None-Match"), told["ETag"], weakly=True):
        return Response(None, 304, told)
    return Response(body, status, told, media_type="application/json")


def demand(if_match: str | None, shape: BaseModel) -> None:
    """Make sure that what the caller knows is how things stand.

    Raises:
        HTTPException: 412, it has changed.
    """
    if if_match is not None and not fits(if_match, tag_of(shape), weakly=False):
        raise HTTPException(412, "It has changed since. Read it again, and decide anew.")


def fits(given: str | None, tag: str, *, weakly: bool) -> bool:
    """Compare a list of tags with a tag; strongly, weak ones never fit (RFC 9110 8.8.3.2)."""
    if given is None:
        return False
    if given.strip() == "*":
        return True
    listed = _TAG.findall(given)
    return tag in [each.removeprefix("W/") if weakly else each for each in listed]


def _tag(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'
