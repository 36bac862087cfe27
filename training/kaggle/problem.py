"""One kind of problem of a data folder, as it is told to a person."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

FILM_PIXELS = 1024
"""Rows and columns of the challenge's films; the boxes are in these pixels."""

_EXAMPLES = 3


class Severity(enum.StrEnum):
    """How bad a problem is."""

    ERROR = "error"
    """Results would be wrong, or a step would fail."""
    NOTE = "note"
    """Worth knowing; everything works."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One kind of problem: how often it was found, where first (file names), and what to do."""

    severity: Severity
    what: str
    count: int
    advice: str
    examples: tuple[str, ...] = ()


def error(what: str, where: Iterable[str], advice: str) -> Iterator[Problem]:
    """Yield one error if it was found anywhere; `where` names each place."""
    return some(Severity.ERROR, what, where, advice)


def note(what: str, where: Iterable[str], advice: str) -> Iterator[Problem]:
    """Yield one note if it was found anywhere; `where` names each place."""
    return some(Severity.NOTE, what, where, advice)


def some(severity: Severity, what: str, where: Iterable[str], advice: str) -> Iterator[Problem]:
    """Yield one problem if it was found anywhere; `where` names each place."""
    names = sorted(where)
    if names:
        yield Problem(severity, what, len(names), advice, tuple(names[:_EXAMPLES]))
