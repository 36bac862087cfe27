"""Write the tables of docs/conformance.md anew."""

from __future__ import annotations

from docs.tables.statement import STATEMENT, written

if __name__ == "__main__":
    STATEMENT.write_text(written(STATEMENT.read_text(encoding="utf-8")), encoding="utf-8")
