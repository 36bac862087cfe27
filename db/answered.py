"""Requests that come again: each is done once, in the transaction that keeps its answer."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Select, delete, select
from sqlalchemy.orm import Session

from db.dialects import insert_or_ignore
from db.people import AnsweredRequest

KEPT = timedelta(hours=24)
"""How long a request may come again and is known."""
BEGUN = 0
"""The status of a request that is not done yet."""


def begin(
    session: Session, user_id: int, key: str, request_sha256: str, *, now: datetime
) -> AnsweredRequest | None:
    """Take up a request; return what the same key was answered before, None where it is new.

    Somebody who has taken up the same key at this moment is waited for. A new one is to be ended
    by `finish` in the same transaction.
    """
    session.execute(delete(AnsweredRequest).where(AnsweredRequest.at <= now - KEPT))
    values = {
        "user_id": user_id,
        "key": key,
        "request_sha256": request_sha256,
        "status": BEGUN,
        "body": "",
        "at": now,
    }
    taken = insert_or_ignore(session, AnsweredRequest).values(values)
    if session.scalar(taken.returning(AnsweredRequest.id)) is not None:
        return None
    return session.scalars(_row(user_id, key)).one()


def finish(session: Session, user_id: int, key: str, status: int, body: str) -> None:
    """Keep what a request is answered."""
    row = session.scalars(_row(user_id, key)).one()
    row.status, row.body = status, body


def drop(session: Session, user_id: int, key: str) -> None:
    """Forget a request that came to nothing: the same key may be used again."""
    session.delete(session.scalars(_row(user_id, key)).one())


def _row(user_id: int, key: str) -> Select[AnsweredRequest]:
    return select(AnsweredRequest).where(
        AnsweredRequest.user_id == user_id, AnsweredRequest.key == key
    )
