"""`hilum user`: who may log in to the console."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from audit import events
from commands.audited import done_by_person
from commands.plain_table import plain_table
from commands.problem import ProblemError
from commands.roles import opened
from commands.terminal import Terminal
from console.security.passwords import Passwords, made_up, objection
from db import accounts
from db.people import User
from db.session import Database
from db.states import UserRole
from settings import Settings


def add(settings: Settings, name: str, role: UserRole, password: str | None) -> str:
    """Add a user; without a password one is made, returned, and to be changed at first login.

    Raises:
        ProblemError: the name is taken or none, or the password is too weak.
    """
    kept, made = _kept(name, password)
    with opened(settings) as (database, _), database.write() as session:
        try:
            user = accounts.add(
                session,
                name,
                role,
                now=database.now(session),
                password_hash=kept,
                must_change=made is not None,
            )
        except accounts.AccountError as error:
            raise ProblemError(str(error)) from None
        name = user.name
    _tell(settings, f"The user was made, with the role {role.value}.", name)
    return f"{name} is {role.value} now." + _first(made)


def set_password(settings: Settings, name: str, password: str | None) -> str:
    """Give a user another password, and log out all sessions.

    Raises:
        ProblemError: there is no such user, or the password is too weak.
    """
    kept, made = _kept(name, password)
    with opened(settings) as (database, _), database.write() as session:
        user = _find(session, name)
        now = database.now(session)
        accounts.set_password(session, user, kept, now=now, must_change=made is not None)
    _tell(settings, "The password was changed.", name)
    return f"{accounts.normal(name)} has another password now." + _first(made)


def set_role(settings: Settings, name: str, role: UserRole) -> str:
    """Give a user another role.

    Raises:
        ProblemError: there is no such user, or nobody would be left who may administer.
    """
    with opened(settings) as (database, _), database.write() as session:
        try:
            accounts.set_role(session, _find(session, name), role)
        except accounts.AccountError as error:
            raise ProblemError(str(error)) from None
    _tell(settings, f"The role is {role.value} now.", name)
    return f"{accounts.normal(name)} is {role.value} now."


def remove(settings: Settings, name: str) -> str:
    """Remove a user.

    Raises:
        ProblemError: there is no such user, or nobody would be left who may administer.
    """
    with opened(settings) as (database, _), database.write() as session:
        try:
            accounts.remove(session, _find(session, name))
        except accounts.AccountError as error:
            raise ProblemError(str(error)) from None
    _tell(settings, "The user was removed.", name)
    return f"{accounts.normal(name)} is removed."


def users(settings: Settings) -> Sequence[User]:
    """List the users."""
    with opened(settings) as (database, _), database.read() as session:
        return accounts.users(session)


def print_users(found: Sequence[User], out: Terminal) -> None:
    """Print the users as a table."""
    table = plain_table("name", "role", "made (UTC)", "last login", "login by")
    for user in found:
        table.add_row(
            user.name,
            user.role.value,
            _moment(user.created_at),
            _moment(user.last_login_at),
            ", ".join(_ways(user)),
        )
    out.print(table if found else "There is no user; the console makes one when it starts.")


def first_user(database: Database, passwords: Passwords) -> str | None:
    """Where there is no user at all, make `admin`; return the password, which nobody sees again."""
    with database.read() as session:
        if accounts.users(session):
            return None
    password = made_up()
    kept = passwords.hash(password)
    with database.write() as session:
        made = accounts.add_first(session, "admin", kept, now=database.now(session))
    return password if made is not None else None


def _find(session: Session, name: str) -> User:
    found = accounts.find(session, name)
    if found is None:
        raise ProblemError(f"there is no user {accounts.normal(name)}; `hilum user list` tells who")
    return found


def _kept(name: str, password: str | None) -> tuple[str, str | None]:
    """Return what is kept of a password, and the password itself where it was made here."""
    made = made_up() if password is None else None
    if password is not None and (wrong := objection(password, accounts.normal(name))):
        raise ProblemError(wrong)
    return Passwords().hash(made or password or ""), made


def _first(made: str | None) -> str:
    return "" if made is None else f" The first password, to be changed at login: {made}"


def _tell(settings: Settings, description: str, name: str) -> None:
    done_by_person(
        settings, events.SECURITY_CONFIGURATION, description, resource=accounts.normal(name)
    )


def _ways(user: User) -> Iterator[str]:
    """Yield what a user may log in by."""
    if user.disabled_at is not None:
        yield "disabled"
    if user.password_hash is not None:
        yield "first password" if user.must_change else "password"
    if user.identity is not None:
        yield "OpenID Connect"


def _moment(at: datetime | None) -> str:
    return "never" if at is None else f"{at:%Y-%m-%d %H:%M}"
