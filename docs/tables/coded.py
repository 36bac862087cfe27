"""The coded concepts of our reports and messages."""

from __future__ import annotations

from pydicom.sr.coding import Code

import codes
from docs.tables.marked import table


def concepts() -> str:
    """Return every concept, by scheme and value."""
    known = {each for each in vars(codes).values() if isinstance(each, Code)}
    rows = sorted((each.scheme_designator, each.value, each.meaning) for each in known)
    return table(("scheme", "code", "meaning"), rows)
