"""Write what documents hold of the code: the conformance statement's tables, and a JSON Schema."""

from __future__ import annotations

from docs.tables.statement import STATEMENT, written
from scp_service.destinations.document import schema

if __name__ == "__main__":
    STATEMENT.write_text(written(STATEMENT.read_text(encoding="utf-8")), encoding="utf-8")
    schema_file = STATEMENT.with_name("result-document.schema.json")
    schema_file.write_text(schema(), encoding="utf-8")
