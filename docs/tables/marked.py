"""Markdown with places for tables: between `<!-- table: NAME -->` and `<!-- end of table -->`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

_PLACE = re.compile(
    r"(?P<start><!-- table: (?P<name>[^>]+) -->\n)(?P<body>.*?)(?P<end><!-- end of table -->\n)",
    re.DOTALL,
)


class MarkerError(Exception):
    """The places in a document are not those of the tables; says which."""


def fill(markdown: str, tables: Mapping[str, Callable[[], str]]) -> str:
    """Return `markdown` with every table in its place, and nothing else changed.

    Raises:
        MarkerError: a place is not ended or has no table, or a table has not just one place.
    """
    places = [place["name"] for place in _PLACE.finditer(markdown)]
    if markdown.count("<!-- table: ") != len(places):
        raise MarkerError("a place for a table is not ended before the next one begins")
    if unknown := set(places) - set(tables):
        raise MarkerError(f"there is no table by the name {min(unknown)!r}")
    if wrong := [name for name in tables if places.count(name) != 1]:
        raise MarkerError(f"the table {wrong[0]!r} has {places.count(wrong[0])} places, not one")
    return _PLACE.sub(
        lambda place: place["start"] + tables[place["name"]]() + place["end"], markdown
    )


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; vertical bars in cells are escaped."""
    cells = ([cell.replace("|", r"\|") for cell in row] for row in (header, *rows))
    first, *others = (f"| {' | '.join(row)} |\n" for row in cells)
    return "".join((first, "|---" * len(header) + "|\n", *others))
