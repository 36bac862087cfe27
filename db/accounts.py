"""Users: who there is, what each may do, and the rule that somebody must be able to administer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from db.dialects import insert_or_ignore
from db.people import LoginSession, User
from db.states import UserRole


class AccountError(Exception):
    """A user cannot be made or changed so; the message says why."""


def users(session: Session) -> Sequence[User]:
    """List all users by name."""
    return session.scalars(select(User).order_by(User.name)).all()


def find(session: Session, name: str) -> User | None:
    """Find a user by name, however it is capitalised."""
    return session.scalar(select(User).where(User.name == normal(name)))


def of_identity(session: Session, identity: str) -> User | None:
    """Find the user that an identity provider vouches for (issuer and subject)."""
    return session.scalar(select(User).where(User.identity == identity))


def add(
    session: Session,
    name: str,
    role: UserRole,
    *,
    now: datetime,
    password_hash: str | None = None,
    identity: str | None = None,
    must_change: bool = False,
) -> User:
    """Add a user.

    Raises:
        AccountError: the name is taken, or is none.
    """
    values = {
        "name": _checked(name),
        "role": role,
        "password_hash": password_hash,
        "must_change": must_change,
        "identity": identity,
        "created_at": now,
        "password_at": now if password_hash else None,
    }
    statement = insert_or_ignore(session, User).values(values).returning(User)
    made: User | None = session.scalar(statement)
    if made is None:
        raise AccountError(f"there is a user {values['name']} already")
    return made


def add_first(session: Session, name: str, password_hash: str, *, now: datetime) -> User | None:
    """Add an administrator where there is no user at all; None where somebody is there already."""
    if session.scalar(select(func.count()).select_from(User)):
        return None
    try:
        return add(
            session, name, UserRole.ADMIN, now=now, password_hash=password_hash, must_change=True
        )
    except AccountError:  # another process was first
        return None


def set_password(
    session: Session,
    user: User,
    password_hash: str,
    *,
    now: datetime,
    must_change: bool = False,
    keep: int | None = None,
) -> None:
    """Give a user another password; whoever is logged in by the old one is logged out.

    `keep`: the id of the session that may go on.
    """
    user.password_hash, user.password_at, user.must_change = password_hash, now, must_change
    ended = delete(LoginSession).where(LoginSession.user_id == user.id)
    session.execute(ended if keep is None else ended.where(LoginSession.id != keep))


def set_role(session: Session, user: User, role: UserRole) -> None:
    """Give a user another role.

    Raises:
        AccountError: nobody would be left who may administer.
    """
    if role is not UserRole.ADMIN:
        _spare_the_last(session, user)
    user.role = role


def disable(session: Session, user: User, *, now: datetime) -> None:
    """Let a user not log in any more: sessions end, tokens are good no more, what was done stays.

    Raises:
        AccountError: nobody would be left who may administer.
    """
    _spare_the_last(session, user)
    user.disabled_at = user.disabled_at or now
    session.execute(delete(LoginSession).where(LoginSession.user_id == user.id))


def enable(user: User) -> None:
    """Let a user log in again; tokens that were not revoked are good again."""
    user.disabled_at = None


def remove(session: Session, user: User) -> None:
    """Remove a user, with sessions and tokens.

    Raises:
        AccountError: nobody would be left who may administer.
    """
    _spare_the_last(session, user)
    session.delete(user)


def normal(name: str) -> str:
    """Return a user's name as it is kept."""
    return name.strip().lower()


def _checked(name: str) -> str:
    kept = normal(name)
    if not 1 <= len(kept) <= 64 or not kept.isprintable() or " " in kept:
        raise AccountError("a user's name has 1 to 64 printable characters and no space")
    return kept


def _spare_the_last(session: Session, user: User) -> None:
    able = (User.role == UserRole.ADMIN, User.disabled_at.is_(None))
    admins = session.scalars(select(User.id).where(*able).order_by(User.id).with_for_update())
    if admins.all() == [user.id]:
        raise AccountError(f"{user.name} is the only administrator; make another one first")
