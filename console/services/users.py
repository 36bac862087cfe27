"""Users: who may log in, and what each may do."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy.orm import Session

from console.context import Context
from console.security.audited import security_changed
from console.security.passwords import made_up
from console.security.who import Who
from console.services.errors import MissingError, RefusedError
from db import accounts
from db.people import User
from db.states import UserRole


def users(context: Context) -> Sequence[User]:
    """List the users by name."""
    with context.database.read() as session:
        return accounts.users(session)


def add(
    context: Context, who: Who, name: str, role: UserRole, *, program: bool = False
) -> tuple[int, str | None]:
    """Add a user; return the id and a first password, which is shown once and changed at login.

    A program has no password: it has tokens alone.

    Raises:
        RefusedError: the name is taken, or is none.
    """
    password = None if program else made_up()
    kept = None if password is None else context.passwords.hash(password)
    with context.database.write() as session:
        now = context.database.now(session)
        try:
            made = accounts.add(
                session, name, role, now=now, password_hash=kept, must_change=not program
            )
        except accounts.AccountError as error:
            raise RefusedError(_sentence(error)) from None
        user_id, name = made.id, made.name
    what = "program" if program else "user"
    security_changed(
        context, who, f"The {what} was made, with the role {role.value}.", resource=name
    )
    return user_id, password


def set_role(context: Context, who: Who, user_id: int, role: UserRole) -> None:
    """Give a user another role; it holds from the next click on.

    Raises:
        RefusedError: nobody would be left who may administer, or there is no such user.
    """

    def change(session: Session, user: User) -> str | None:
        if user.role is role:
            return None
        before = user.role
        accounts.set_role(session, user, role)
        return f"The role is {role.value} now; it was {before.value}."

    _change(context, who, user_id, change)


def reset_password(context: Context, who: Who, user_id: int) -> str:
    """Give a user a new first password, which is returned; all sessions end.

    Raises:
        RefusedError: it is a program, or there is no such user.
    """
    password = made_up()
    kept = context.passwords.hash(password)

    def change(session: Session, user: User) -> str:
        if user.password_hash is None:
            raise RefusedError(f"{user.name} has no password; who logs in otherwise needs none.")
        now = context.database.now(session)
        accounts.set_password(session, user, kept, now=now, must_change=True)
        return "The password was reset."

    _change(context, who, user_id, change)
    return password


def disable(context: Context, who: Who, user_id: int) -> None:
    """Let a user not log in any more.

    Raises:
        RefusedError: it is oneself or the last who may administer, or there is no such user.
    """

    def change(session: Session, user: User) -> str | None:
        if user.id == who.user_id:
            raise RefusedError("You cannot disable yourself; another administrator can.")
        if user.disabled_at is not None:
            return None
        accounts.disable(session, user, now=context.database.now(session))
        return "The user was disabled."

    _change(context, who, user_id, change)


def enable(context: Context, who: Who, user_id: int) -> None:
    """Let a user log in again.

    Raises:
        MissingError: there is no such user.
    """

    def change(_session: Session, user: User) -> str | None:
        if user.disabled_at is None:
            return None
        accounts.enable(user)
        return "The user was enabled again."

    _change(context, who, user_id, change)


def remove(context: Context, who: Who, user_id: int) -> None:
    """Remove a user, with sessions and tokens; what the user did stays in the audit trail.

    Raises:
        RefusedError: it is oneself or the last who may administer, or there is no such user.
    """

    def change(session: Session, user: User) -> str:
        if user.id == who.user_id:
            raise RefusedError("You cannot remove yourself; another administrator can.")
        accounts.remove(session, user)
        return "The user was removed."

    _change(context, who, user_id, change)


def _change(
    context: Context, who: Who, user_id: int, change: Callable[[Session, User], str | None]
) -> None:
    """Change a user in one transaction, and tell the audit trail what `change` says of it."""
    with context.database.write() as session:
        user = session.get(User, user_id)
        if user is None:
            raise MissingError("There is no such user any more.")
        name = user.name
        try:
            told = change(session, user)
        except accounts.AccountError as error:
            raise RefusedError(_sentence(error)) from None
    if told is not None:
        security_changed(context, who, told, resource=name)


def _sentence(error: Exception) -> str:
    said = str(error)
    return f"{said[:1].upper()}{said[1:]}."
