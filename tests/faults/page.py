"""Write what some seeds have shown into the document of the fault suite.

    python -m tests.faults.page SEED...

Where several seeds have provoked the same fault, the last one's row is shown.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from docs.tables.marked import fill
from tests.faults.ledger import Ledger, as_table
from tests.peers import ROOT

DOCUMENT = ROOT / "docs" / "faults.md"


def write(seeds: Sequence[int], records: Path) -> None:
    """Replace the document's table by that of these seeds."""
    rows = {
        (row.fault, row.database): row for seed in seeds for row in Ledger(records, seed).rows()
    }
    text = DOCUMENT.read_text(encoding="utf-8")
    text = fill(text, {"faults": lambda: as_table(rows.values())})
    DOCUMENT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write([int(seed) for seed in sys.argv[1:]], ROOT / "runs" / "faults")
