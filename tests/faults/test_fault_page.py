"""The document's table takes new rows, and keeps those of faults that were not provoked again."""

from __future__ import annotations

from pathlib import Path

from tests.faults.ledger import Ledger
from tests.faults.page import write


def test_only_what_was_provoked_again_has_another_row(tmp_path: Path) -> None:
    document = tmp_path / "faults.md"
    document.write_text("Before.\n<!-- table: faults -->\n<!-- end of table -->\nAfter.\n")
    first, second = Ledger(tmp_path, 1, share=0.1), Ledger(tmp_path, 2)
    for fault, database in (("2", "SQLite"), ("12", ""), ("2", "PostgreSQL")):
        with first.fault(fault, database) as tally:
            tally.remark = "a | b"
    write([1], tmp_path, document)
    before = document.read_text().splitlines()
    with second.fault("12") as tally:
        tally.times = 3
    write([2], tmp_path, document)
    after = document.read_text().splitlines()
    assert (before[:2], before[-2:]) == (after[:2], after[-2:])
    assert before[4:6] == after[4:6]  # the header takes two lines
    assert [line.split(" | ")[2] for line in after[4:7]] == ["PostgreSQL", "SQLite", "-"]
    assert before[6].startswith("| 12 | mutated PDUs | - | 1 | 0 (not all) |")
    assert after[6].startswith("| 12 | mutated PDUs | - | 2 | 3 |")
