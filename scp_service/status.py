"""What the statuses that we answer mean: each says when it is given."""

from __future__ import annotations

from enum import IntEnum
from typing import Self


class Status(IntEnum):
    """A status of DIMSE; its members are (number, when it is given)."""

    when: str

    def __new__(cls, number: int, when: str) -> Self:
        """Make a member that is its number and carries the rest."""
        member = int.__new__(cls, number)
        member._value_ = number
        member.when = when
        return member
