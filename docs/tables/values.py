"""Data sets as texts by the path of each attribute, to be counted and compared."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

Path = tuple[str, ...]
"""Keywords of an attribute and of the sequences around it, outermost first."""

TREE = "ContentSequence"
OPAQUE = "…"
"""Stands for the value of a sequence: what is in it has paths of its own."""


def text(element: DataElement) -> str:
    """Return a value as a text: codes in brackets, bytes as a digest, "" where there is none."""
    if element.is_empty:
        return ""
    if element.VR == "SQ":
        codes = [_code(item) for item in element.value]
        return ", ".join(filter(None, codes)) if all(codes) else OPAQUE
    if isinstance(element.value, bytes):
        return hashlib.sha256(element.value).hexdigest()
    parts = element.value if element.VM > 1 else [element.value]
    return "\\".join(f"{each:g}" if type(each) is float else str(each) for each in parts)


def at(dataset: Dataset, path: Path) -> list[str]:
    """Return every value that stands at a path, in every item."""
    keyword, *below = path
    if keyword not in dataset:
        return []
    if not below:
        return [text(dataset[keyword])]
    return [value for item in dataset[keyword].value for value in at(item, tuple(below))]


@dataclass
class Counted:
    """The values of every attribute of some data sets, and how many items could have held it."""

    values: dict[Path, list[str]] = field(default_factory=dict)
    items: dict[Path, int] = field(default_factory=dict)

    def add(self, dataset: Dataset, path: Path = ()) -> None:
        """Count a data set, or an item of the sequence at `path`. A content tree is left out."""
        self.items[path] = self.items.get(path, 0) + 1
        for element in dataset:
            below = (*path, element.keyword)
            value = text(element)
            self.values.setdefault(below, []).append(value)
            if value == OPAQUE and element.keyword != TREE:
                for item in element.value:
                    self.add(item, below)

    def presence(self, path: Path) -> str:
        """Tell in the terms of PS3.2 whether attribute and value are there.

        ALWAYS; VNAP, value not always present; ANAP, attribute not always present; EMPTY.
        """
        values = self.values[path]
        if not any(values):
            return "EMPTY"
        if len(values) < self.items[path[:-1]]:
            return "ANAP"
        return "ALWAYS" if all(values) else "VNAP"


def fixed(values: Sequence[str]) -> list[str]:
    """Return the different values, without what cannot be shown."""
    return [value for value in dict.fromkeys(values) if value and value != OPAQUE]


def _code(item: Dataset) -> str:
    if "CodeValue" not in item:
        return ""
    return f"({item.CodeValue}, {item.CodingSchemeDesignator}, {item.CodeMeaning})"
