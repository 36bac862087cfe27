"""Every element of a DICOM file's header as text. Runs in a child process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from pydicom import dcmread
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from inference.parse import parsing

MOST = 3000
"""Elements that are listed of one file."""
_LONGEST = 400
_BINARY = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN", "OB or OW"})


@dataclass(frozen=True, slots=True)
class Tag:
    """One element; `depth` counts the sequences that it lies in. Odd signs are shown as they are
    written in Python."""

    depth: int
    tag: str
    vr: str
    name: str
    value: str


def tags(path: Path) -> list[Tag]:
    """List the elements of a file, at most `MOST`, file meta information first; no pixel data.

    Raises:
        RefusedError: it cannot be parsed.
        OSError: it cannot be read.
    """
    with parsing(), path.open("rb") as file:
        header = dcmread(file, stop_before_pixels=True, force=True)
        listed = chain(_listed(header.file_meta, 0), _listed(header, 0))
        return list(islice(listed, MOST))


def _listed(dataset: Dataset, depth: int) -> Iterator[Tag]:
    for tag in sorted(dataset.keys()):
        try:
            element = dataset[tag]
        except Exception as error:  # pydicom raises many kinds on values that are none
            said = f"(cannot be read: {type(error).__name__})"
            yield Tag(depth, _number(int(tag)), "??", "", said)
            continue
        if element.VR == "SQ":
            items = list(element.value or [])
            count = f"{len(items)} item{'' if len(items) == 1 else 's'}"
            yield Tag(depth, _number(int(tag)), "SQ", element.name, count)
            for item in items:
                yield from _listed(item, depth + 1)
        else:
            yield Tag(depth, _number(int(tag)), element.VR, element.name, _text(element))


def _number(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def _text(element: DataElement) -> str:
    value = element.value
    if value is None:
        return ""
    if element.VR in _BINARY or isinstance(value, bytes):
        return f"{len(value)} bytes" if isinstance(value, bytes) else "binary"
    text = "\\".join(map(str, value)) if isinstance(value, MultiValue | list) else str(value)
    shown = "".join(each if each.isprintable() else repr(each)[1:-1] for each in text[:_LONGEST])
    return shown + ("…" if len(text) > _LONGEST else "")
