"""Tokens of the API: for oneself, or for a program; seen once, and never again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

from console.context import Context
from console.security.audited import security_changed
from console.security.scopes import Scope
from console.security.secret import digest, new_token
from console.security.who import Who
from console.services.errors import MissingError, RefusedError
from db import tokens
from db.people import ApiToken, User

LONGEST_DAYS = 3650


@dataclass(frozen=True, slots=True)
class Made:
    """A new token: its id, and the secret itself, which is kept nowhere."""

    id: int
    secret: str


def listed(context: Context) -> Sequence[ApiToken]:
    """List all tokens with their users, newest first; revoked ones too."""
    with context.database.read() as session:
        return tokens.tokens(session)


def may_have_tokens(user: User, who: Who) -> bool:
    """Tell whether `who` may make tokens of a user: of themselves, or of a program.

    Those of another person would let an administrator act in that person's name.
    """
    is_program = user.password_hash is None and user.identity is None
    return user.disabled_at is None and (user.id == who.user_id or is_program)


def make(
    context: Context,
    who: Who,
    *,
    user_id: int,
    name: str,
    scopes: Collection[Scope],
    days: float | None,
) -> Made:
    """Make a token of a user; `days`: how long it is good, None: until it is revoked.

    Raises:
        RefusedError: it is nobody's whom `who` may make one for, or has no name or scope.
    """
    name = " ".join(name.split())
    if not 1 <= len(name) <= 64:
        raise RefusedError("Say what the token is for, in 1 to 64 characters.")
    if not scopes:
        raise RefusedError("Choose what the token may be used for.")
    if days is not None and not 0 < days <= LONGEST_DAYS:
        raise RefusedError(f"A token is good for at most {LONGEST_DAYS} days, or without end.")
    secret = new_token()
    with context.database.write() as session:
        user = session.get(User, user_id)
        if user is None:
            raise MissingError("There is no such user any more.")
        if not may_have_tokens(user, who):
            raise RefusedError(
                "Tokens are made for oneself or for a program: that of another person would let"
                " you act in that person's name."
            )
        now = context.database.now(session)
        expires = None if days is None else now + timedelta(days=days)
        kept = sorted(each.value for each in scopes)
        made = tokens.add(session, user.id, name, digest(secret), kept, expires_at=expires, now=now)
        token_id, owner = made.id, user.name
    until = "until it is revoked" if expires is None else f"until {expires:%Y-%m-%d}"
    security_changed(
        context,
        who,
        f"Token {token_id} was made for {owner}: {', '.join(kept)}, {until}.",
        resource=f"token {token_id}",
    )
    return Made(token_id, secret)


def revoke(context: Context, who: Who, token_id: int) -> None:
    """Make a token useless, at once and for good.

    Raises:
        MissingError: there is no such token.
    """
    with context.database.write() as session:
        found = session.get(ApiToken, token_id)
        if found is None:
            raise MissingError("There is no such token.")
        was_good = found.revoked_at is None
        owner = found.user.name
        tokens.revoke(session, found, context.database.now(session))
    if was_good:
        told = f"Token {token_id} of {owner} was revoked."
        security_changed(context, who, told, resource=f"token {token_id}")
