"""Cursors: where a list goes on, bound to the list that it is of."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import Query
from starlette.exceptions import HTTPException
from starlette.requests import Request

Limit = Annotated[int, Query(ge=1, le=500, description="How many at most.")]
CURSOR = Query(
    max_length=1000,
    description="Where to go on: `next` of the page before, with everything else as it was.",
)
Cursor = Annotated[str | None, CURSOR]


class NotGivenOutError(HTTPException):
    """A cursor is none of ours."""

    def __init__(self) -> None:
        super().__init__(422, "cursor: this is none that was given out here")


def encode(after: Sequence[Any], of: Mapping[str, Any]) -> str:
    """Return the cursor of what follows the key `after` in the list `of` such filters."""
    text = json.dumps({"after": list(after), "of": _digest(of)}, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(cursor: str | None, of: Mapping[str, Any], *kinds: type | tuple[type, ...]) -> list[Any]:
    """Return the key that a cursor goes on after; nothing where there is no cursor.

    `kinds` are the types that the key consists of.

    Raises:
        HTTPException: 422, it is no cursor of ours, or of another list.
    """
    if cursor is None:
        return []
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        found = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        after, digest = found["after"], found["of"]
        fits = len(after) == len(kinds) and all(map(isinstance, after, kinds))
    except (ValueError, binascii.Error, KeyError, TypeError, RecursionError):
        raise NotGivenOutError from None
    if not fits:
        raise NotGivenOutError
    if digest != _digest(of):
        raise HTTPException(422, "cursor: it is of a list with another filter; begin anew")
    if any(isinstance(each, int) and abs(each) >= 2**63 for each in after):
        raise NotGivenOutError
    return list(after)


def moment(value: str) -> datetime:
    """Return the time that a cursor holds.

    Raises:
        ValueError: it is none, or has no zone.
    """
    found = datetime.fromisoformat(value)
    if found.tzinfo is None:
        raise ValueError("a time of a cursor has a zone")
    return found


def link_to(request: Request, cursor: str | None) -> dict[str, str]:
    """Return the header that leads to the next page (RFC 8288); nothing at the end."""
    if cursor is None:
        return {}
    url = request.url.include_query_params(cursor=cursor)
    return {"Link": f'<{url.path}?{url.query}>; rel="next"'}


def _digest(of: Mapping[str, Any]) -> str:
    text = json.dumps(of, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
