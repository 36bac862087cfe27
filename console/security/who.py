"""Who calls: a user, as a browser's session or a program's token makes known."""

from __future__ import annotations

from dataclasses import dataclass

from db.states import UserRole


@dataclass(frozen=True, slots=True)
class Who:
    """A user who is logged in, what they may do in this call, and where they call from.

    Exactly one of `session_id` and `token_id` is set.
    """

    user_id: int
    name: str
    role: UserRole
    address: str
    session_id: int | None = None
    token_id: int | None = None
    must_change: bool = False

    @property
    def viewer(self) -> str:
        """A name of the session or token, for this process."""
        return f"s{self.session_id}" if self.session_id is not None else f"t{self.token_id}"
