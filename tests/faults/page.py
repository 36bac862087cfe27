"""Write what some seeds have shown into the document of the fault suite.

    python -m tests.faults.page SEED...

Where several seeds have provoked the same fault, the last one's row is shown. A fault that none of
them has provoked keeps the row that the document has.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from docs.tables.marked import fill
from tests.faults.ledger import FAULTS, HEADER, Ledger, as_table
from tests.peers import ROOT

DOCUMENT = ROOT / "docs" / "faults.md"
_FAULT, _DATABASE = HEADER.index("fault"), HEADER.index("database")


def write(seeds: Sequence[int], records: Path, document: Path = DOCUMENT) -> None:
    """Put the rows of these seeds into the document's table."""
    text = document.read_text(encoding="utf-8")
    lines = _lines(text)
    for seed in seeds:
        lines |= _lines(as_table(Ledger(records, seed).rows()))
    order = list(FAULTS)
    ordered = sorted(lines, key=lambda key: (order.index(key[0]), key[1]))
    whole = as_table([]) + "".join(lines[key] for key in ordered)
    document.write_text(fill(text, {"faults": lambda: whole}), encoding="utf-8")


def _lines(markdown: str) -> dict[tuple[str, str], str]:
    """Return the lines of a table by fault and database."""
    lines = {}
    for line in markdown.splitlines(keepends=True):
        cells = [cell.strip() for cell in line.strip("|\n").split("|")]
        if cells[0] in FAULTS:
            lines[cells[_FAULT], cells[_DATABASE]] = line
    return lines


if __name__ == "__main__":
    write([int(seed) for seed in sys.argv[1:]], ROOT / "runs" / "faults")
