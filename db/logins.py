"""Sessions of browsers, from login to logout, and attempts to log in, which are counted.

Both lie in the database, so that several processes of the console agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.orm import Session, joinedload

from db.dialects import Turn, in_turn
from db.people import LoginAttempt, LoginSession, User

_TOUCH = timedelta(seconds=60)
"""How exactly it is known when a session was last used: not every request need write."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many attempts may fail within a time before the next one waits: twice as long each time.

    Counted are those for one account from one address, and all from one address. What comes from
    one address bars nobody elsewhere.
    """

    window: timedelta = timedelta(hours=1)
    per_account: int = 5
    per_address: int = 30
    longest: timedelta = timedelta(minutes=15)


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


def attempt(
    session: Session, account: str, address: str, limits: Limits, now: datetime
) -> timedelta:
    """Take up an attempt to log in; return how long it has to wait first.

    Zero: it may be made now, and counts until it is forgiven. One that has to wait counts for
    nothing, so that nobody who asks too early waits longer for it.
    """
    in_turn(session, Turn.LOGINS)
    session.execute(delete(LoginAttempt).where(LoginAttempt.at <= now - limits.window))
    here = LoginAttempt.address == address
    wait = max(
        _wait(session, here & (LoginAttempt.account == account), limits.per_account, limits, now),
        _wait(session, here, limits.per_address, limits, now),
    )
    if not wait:
        session.add(LoginAttempt(account=account, address=address, at=now))
    return wait


def _wait(
    session: Session, of: ColumnElement[bool], free: int, limits: Limits, now: datetime
) -> timedelta:
    """Return how long the next of such attempts waits; `free` of them wait for nothing."""
    count, last = session.execute(select(func.count(), func.max(LoginAttempt.at)).where(of)).one()
    if count < free:
        return timedelta()
    pause = min(timedelta(seconds=2.0 ** min(count - free + 1, 32)), limits.longest)
    return max(last + pause - now, timedelta())


def forgive(session: Session, account: str, address: str) -> None:
    """Forget the attempts of who has logged in."""
    same = (LoginAttempt.account == account) & (LoginAttempt.address == address)
    session.execute(delete(LoginAttempt).where(same))
