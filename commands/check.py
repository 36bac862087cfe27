"""What `hilum doctor` finds, one thing at a time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What a check found."""

    GOOD = "ok"
    NOTE = "note"
    BAD = "BAD"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: what was found and, where it is bad, what to do."""

    name: str
    verdict: Verdict
    text: str
