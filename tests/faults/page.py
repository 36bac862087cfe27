"""Write the table of one seed into the document of the fault suite.

python -m tests.faults.page SEED
"""

from __future__ import annotations

import sys
from pathlib import Path

from docs.tables.marked import fill
from tests.faults.ledger import Ledger, as_table
from tests.peers import ROOT

DOCUMENT = ROOT / "docs" / "faults.md"


def write(seed: int, records: Path) -> None:
    """Replace the document's table by that of a seed."""
    rows = Ledger(records, seed).rows()
    text = fill(DOCUMENT.read_text(encoding="utf-8"), {"faults": lambda: as_table(rows)})
    DOCUMENT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(int(sys.argv[1]), ROOT / "runs" / "faults")
