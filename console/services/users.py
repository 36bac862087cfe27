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
from db.dialects import Turn, in_turn
from db.people import User
from db.states import UserRole

Known = Callable[[User], None]
"""Looks at a user in the transaction that is to change it, and raises where it may not."""


def _as_it_is(_user: User) -> None:
    """Whatever it is like."""


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


def change(
    context: Context,
    who: Who,
    user_id: int,
    *,
    role: UserRole | None = None,
    disabled: bool | None = None,
    known: Known = _as_it_is,
) -> None:
    """Give a user another role, or let them log in no more, or again; None: that stays.

    All of it or nothing is done, if `known` lets it; it holds from the user's next click on.

    Raises:
        RefusedError: nobody would be left who may administer, it is oneself that is to be disabled,
            or there is no such user.
    """

    def act(session: Session, user: User) -> list[str]:
        told = []
        if role is not None and user.role is not role:
            told.append(f"The role is {role.value} now; it was {user.role.value}.")
            accounts.set_role(session, user, role)
        if disabled is True and user.id == who.user_id:
            raise RefusedError("You cannot disable yourself; another administrator can.")
        if disabled is True and user.disabled_at is None:
            session.flush()
            accounts.disable(session, user, now=context.database.now(session))
            told.append("The user was disabled.")
        if disabled is False and user.disabled_at is not None:
            accounts.enable(user)
            told.append("The user was enabled again.")
        return told

    _change(context, who, user_id, known, act)


def reset_password(context: Context, who: Who, user_id: int, *, known: Known = _as_it_is) -> str:
    """Give a user a new first password, which is returned; all sessions end.

    Raises:
        RefusedError: it is a program, or there is no such user.
    """
    password = made_up()
    kept = context.passwords.hash(password)

    def act(session: Session, user: User) -> list[str]:
        if user.password_hash is None:
            raise RefusedError(f"{user.name} has no password; who logs in otherwise needs none.")
        now = context.database.now(session)
        accounts.set_password(session, user, kept, now=now, must_change=True)
        return ["The password was reset."]

    _change(context, who, user_id, known, act)
    return password


def remove(context: Context, who: Who, user_id: int, *, known: Known = _as_it_is) -> None:
    """Remove a user, with sessions and tokens; what the user did stays in the audit trail.

    Raises:
        RefusedError: it is oneself or the last who may administer, or there is no such user.
    """

    def act(session: Session, user: User) -> list[str]:
        if user.id == who.user_id:
            raise RefusedError("You cannot remove yourself; another administrator can.")
        accounts.remove(session, user)
        return ["The user was removed."]

    _change(context, who, user_id, known, act)


def _change(
    context: Context,
    who: Who,
    user_id: int,
    known: Known,
    act: Callable[[Session, User], list[str]],
) -> None:
    """Change a user in one transaction, and tell the audit trail what `act` says of it."""
    with context.database.write() as session:
        in_turn(session, Turn.USERS)
        user = session.get(User, user_id)
        if user is None:
            raise MissingError("There is no such user any more.")
        known(user)
        name = user.name
        try:
            told = act(session, user)
        except accounts.AccountError as error:
            raise RefusedError(_sentence(error)) from None
    for sentence in told:
        security_changed(context, who, sentence, resource=name)


def _sentence(error: Exception) -> str:
    said = str(error)
    return f"{said[:1].upper()}{said[1:]}."
