"""What a token may be used for: its scopes, each of which stands for what a role may do."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum

from db.states import UserRole


class Scope(StrEnum):
    """A scope of a token."""

    READ = "read"
    """What a reader may do."""
    OPERATE = "operate"
    """What an operator may do."""
    ADMINISTER = "administer"
    """What an administrator may do."""


_ROLES = {
    Scope.READ: UserRole.READER,
    Scope.OPERATE: UserRole.OPERATOR,
    Scope.ADMINISTER: UserRole.ADMIN,
}


def scope_of(role: UserRole) -> Scope:
    """Return the scope that a token needs to do what this role may."""
    return next(scope for scope, stands_for in _ROLES.items() if stands_for is role)


def role_of(scopes: Collection[str], role: UserRole) -> UserRole | None:
    """Return the role that a token with these scopes has in the name of a user with this role.

    It is never higher than the user's own; None where the token has no scope.
    """
    given = [_ROLES[Scope(scope)] for scope in scopes if scope in set(Scope)]
    if not given:
        return None
    return min(max(given, key=lambda each: each.rank), role, key=lambda each: each.rank)
