"""What changes something is done once, however often its request comes.

As draft-ietf-httpapi-idempotency-key-header has it. What is done and its answer are committed
together, so that after any failure the same request may be sent again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Annotated

from fastapi import Header
from pydantic import BaseModel
from sqlalchemy.orm import Session
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from console.context import Context
from console.security.who import Who
from db import answered
from db.people import AnsweredRequest

REPLAYED = "Idempotent-Replayed"

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="A UUID of your own for this request. Sent again with the same key within 24"
        " hours, it is answered as before, and nothing is done twice.",
        examples=["0b1f6c0a-6d0b-4a56-9a44-5f6a0b0e7c11"],
    ),
]


def once(
    context: Context,
    who: Who,
    request: Request,
    key: str | None,
    body: BaseModel | None,
    act: Callable[[Session], BaseModel],
    *,
    status: int = 200,
    told: Callable[[], None] = lambda: None,
) -> Response:
    """Do what `act` does in a transaction that it is handed, and answer what it returns.

    With a key that was answered before, that answer is given again.

    Args:
        context, who, request: of the call.
        key: the Idempotency-Key; None: it is done in any case.
        body: what was sent.
        act: does it; what it raises undoes all of it, and the key may be used again.
        status: of the answer.
        told: called when it is committed, and not for an answer that is given again.

    Raises:
        HTTPException: 422, the key was used for another request.
    """
    fingerprint = _fingerprint(request, body)
    with context.database.write() as session:
        if key is not None:
            now = context.database.now(session)
            before = answered.begin(session, who.user_id, key, fingerprint, now=now)
            if before is not None:
                return _replay(before, fingerprint)
        said = act(session).model_dump_json()
        if key is not None:
            answered.finish(session, who.user_id, key, status, said)
    told()
    return _answer(status, said, {})


def once_apart(
    context: Context,
    who: Who,
    request: Request,
    key: str | None,
    body: BaseModel | None,
    act: Callable[[], BaseModel],
    *,
    status: int = 200,
) -> Response:
    """Like `once`, for what has transactions of its own.

    That it was begun is written down before, and what came of it afterwards.

    Raises:
        HTTPException: 422, the key was used for another request; 409, the same request is being
            done, or was when this service ended.
    """
    if key is None:
        return _answer(status, act().model_dump_json(), {})
    fingerprint = _fingerprint(request, body)
    with context.database.write() as session:
        now = context.database.now(session)
        before = answered.begin(session, who.user_id, key, fingerprint, now=now)
    if before is not None:
        replay = _replay(before, fingerprint)
        if before.status == answered.BEGUN:
            raise HTTPException(
                409, "The request with this key is not done yet. Look how things stand."
            )
        return replay
    try:
        said = act().model_dump_json()
    except Exception:
        with context.database.write() as session:
            answered.drop(session, who.user_id, key)
        raise
    with context.database.write() as session:
        answered.finish(session, who.user_id, key, status, said)
    return _answer(status, said, {})


def _replay(before: AnsweredRequest, fingerprint: str) -> Response:
    if before.request_sha256 != fingerprint:
        raise HTTPException(422, "Idempotency-Key: it was used for another request; take a new one")
    return _answer(before.status or 200, before.body, {REPLAYED: "true"})


def _fingerprint(request: Request, body: BaseModel | None) -> str:
    sent = None if body is None else body.model_dump(mode="json")
    text = json.dumps([request.method, request.url.path, sent], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _answer(status: int, body: str, headers: dict[str, str]) -> Response:
    return Response(body, status, headers, media_type="application/json")
