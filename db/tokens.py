"""Tokens of the API: made once, shown once, used until they expire or are revoked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import or_, select
from sqlalchemy.orm import Session, joinedload

from db.people import ApiToken, User

_TOUCH = timedelta(seconds=60)


def add(
    session: Session,
    user_id: int,
    name: str,
    secret_sha256: str,
    scopes: Sequence[str],
    *,
    expires_at: datetime | None,
    now: datetime,
) -> ApiToken:
    """Add a token."""
    made = ApiToken(
        user_id=user_id,
        name=name[:64],
        secret_sha256=secret_sha256,
        scopes=list(scopes),
        created_at=now,
        expires_at=expires_at,
    )
    session.add(made)
    session.flush()
    return made


def find(session: Session, secret_sha256: str, now: datetime) -> ApiToken | None:
    """Find a token that is good now, with its user."""
    return session.scalar(
        select(ApiToken)
        .join(ApiToken.user)
        .where(
            User.disabled_at.is_(None),
            ApiToken.secret_sha256 == secret_sha256,
            ApiToken.revoked_at.is_(None),
            or_(ApiToken.expires_at.is_(None), ApiToken.expires_at > now),
        )
        .options(joinedload(ApiToken.user))
    )


def is_due(found: ApiToken, now: datetime) -> bool:
    """Tell whether it is to be written down that a token was used."""
    return found.last_used_at is None or now - found.last_used_at >= _TOUCH


def touch(session: Session, token_id: int, now: datetime) -> None:
    """Write down that a token was used."""
    found = session.get(ApiToken, token_id)
    if found is not None:
        found.last_used_at = now


def tokens(session: Session, user_id: int | None = None) -> Sequence[ApiToken]:
    """List tokens, newest first: all of them, or a user's."""
    query = select(ApiToken).options(joinedload(ApiToken.user)).order_by(ApiToken.id.desc())
    return session.scalars(
        query if user_id is None else query.where(ApiToken.user_id == user_id)
    ).all()


def revoke(session: Session, token: ApiToken, now: datetime) -> None:
    """Make a token useless; it stays in the list."""
    if token.revoked_at is None:
        token.revoked_at = now
