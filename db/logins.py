"""Sessions of browsers, from login to logout, and attempts to log in, which are counted.

Both lie in the database, so that several processes of the console agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.orm import Session, joinedload

from db.people import LoginAttempt, LoginSession, User

_TOUCH = timedelta(seconds=60)
"""How exactly it is known when a session was last used: not every request need write."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many attempts may fail within a time, for one account and from one address."""

    window: timedelta = timedelta(minutes=15)
    per_account: int = 10
    per_address: int = 30


def begin(
    session: Session,
    user: User,
    secret_sha256: str,
    *,
    address: str,
    agent: str,
    lifetime: timedelta,
    now: datetime,
) -> LoginSession:
    """Log a user in; sessions that have expired are forgotten."""
    session.execute(delete(LoginSession).where(LoginSession.expires_at <= now))
    made = LoginSession(
        user_id=user.id,
        secret_sha256=secret_sha256,
        address=address[:64],
        agent=agent[:200],
        created_at=now,
        last_used_at=now,
        expires_at=now + lifetime,
    )
    session.add(made)
    user.last_login_at = now
    session.flush()
    return made


def find(
    session: Session, secret_sha256: str, *, idle: timedelta, now: datetime
) -> LoginSession | None:
    """Find the session of a cookie, with its user; None where there is none, or it has expired.

    None too where the user may not log in any more.
    """
    return session.scalar(
        select(LoginSession)
        .join(LoginSession.user)
        .where(
            User.disabled_at.is_(None),
            LoginSession.secret_sha256 == secret_sha256,
            LoginSession.expires_at > now,
            LoginSession.last_used_at > now - idle,
        )
        .options(joinedload(LoginSession.user))
    )


def is_due(found: LoginSession, now: datetime) -> bool:
    """Tell whether it is to be written down that a session was used."""
    return now - found.last_used_at >= _TOUCH


def touch(session: Session, session_id: int, now: datetime) -> None:
    """Write down that a session was used."""
    found = session.get(LoginSession, session_id)
    if found is not None:
        found.last_used_at = now


def end(session: Session, session_id: int) -> None:
    """Log out."""
    session.execute(delete(LoginSession).where(LoginSession.id == session_id))


def end_all(session: Session, user_id: int) -> None:
    """Log a user out everywhere."""
    session.execute(delete(LoginSession).where(LoginSession.user_id == user_id))


def attempt(session: Session, account: str, address: str, limits: Limits, now: datetime) -> None:
    """Write down an attempt; it is to be committed before `is_barred` is asked."""
    session.execute(delete(LoginAttempt).where(LoginAttempt.at <= now - limits.window))
    session.add(LoginAttempt(account=account, address=address, at=now))


def is_barred(session: Session, account: str, address: str, limits: Limits, now: datetime) -> bool:
    """Tell whether too many attempts have failed for an account or from an address."""

    def count(of: ColumnElement[bool]) -> int:
        recent = select(func.count()).where(of, LoginAttempt.at > now - limits.window)
        return session.scalar(recent) or 0

    return (
        count(LoginAttempt.account == account) > limits.per_account
        or count(LoginAttempt.address == address) > limits.per_address
    )


def forgive(session: Session, account: str, address: str) -> None:
    """Forget the attempts of who has logged in."""
    same = (LoginAttempt.account == account) & (LoginAttempt.address == address)
    session.execute(delete(LoginAttempt).where(same))
