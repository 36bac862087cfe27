"""One mistake of the report: what it did, and what it amounts to, as sentences and a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.results.rows import Row


@dataclass(frozen=True, slots=True)
class Grid:
    """A small table: a head and rows of text."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake: what the report did, and sentences and a table of what it amounts to."""

    title: str
    told: str
    effect: tuple[str, ...]
    grid: Grid | None = None


def name_of(row: Row) -> str:
    """Name a row for people."""
    suffix = f" @{row.variant_name}" if row.variant_name else ""
    if row.spec.table in ("base", "grid"):
        return f"{row.spec.model}, {row.spec.row}{suffix}"
    return f"{row.spec.row}{suffix}"


def grid(head: tuple[str, ...], lines: Sequence[tuple[str, ...]]) -> Grid | None:
    """Make a table of lines; None of none."""
    return Grid(head, tuple(lines)) if lines else None


def number(value: float | None, digits: int) -> str:
    """Write a figure; "-" where there is none."""
    return "-" if value is None or np.isnan(value) else f"{value:,.{digits}f}"
