"""Result documents that the tests of messages are made from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from scp_service.destinations.document import Document, read_document

_PAGE = Path(__file__).parents[3] / "docs/result-document.md"

FAILED = {
    "report__finding": "failed",
    "report__completeness": "failed",
    "report__probability": None,
    "report__threshold": None,
    "report__sentence": "Not analysed (a lateral view), so no statement about the lungs; not"
    " verified by a physician",
}
REVISED = {"report__uid": "2.25.2", "report__revision": 2, "report__predecessor_uid": "2.25.1"}
NEGATIVE = {"report__finding": "normal", "report__probability": 0.031}


def encoded(**changes: Any) -> bytes:
    """Return the documentation's example with `changes`, as in `report__finding="normal"`."""
    said = json.loads(_PAGE.read_text().split("```json\n")[1].split("```")[0])
    for path, value in changes.items():
        part, _, field = path.partition("__")
        said[part][field] = value
    if said["report"]["finding"] == "failed":
        refusal = {"code": "view", "reason": "This is a lateral view."}
        said["images"][0].update(reading=None, refusal=refusal)
    return json.dumps(said, ensure_ascii=False).encode()


def document(**changes: Any) -> Document:
    """Return the document that `encoded` encodes."""
    return read_document(encoded(**changes))
