"""Explicit VR Little Endian (PS3.5 7.1.2) for what is encoded before pydicom writes the file.

A report is a tree of a hundred small sequences: pydicom takes 13 ms for it, these lines 1 ms. Tests
hold the bytes against pydicom's own.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from functools import lru_cache

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.tag import BaseTag

Elements = Mapping[int, tuple[str, bytes]]
"""Tag -> (VR, value) of the elements of one dataset."""

_LONG = frozenset({"OB", "SQ", "UN", "UT", "UC"})


def item(elements: Elements) -> bytes:
    """Return an item of a sequence, its elements in the order of their tags."""
    value = b"".join([_element(tag, *elements[tag]) for tag in sorted(elements)])
    return struct.pack("<HHL", 0xFFFE, 0xE000, len(value)) + value


def put(dataset: Dataset, elements: Elements) -> None:
    """Put encoded elements into `dataset`, in the form in which it holds what it has just read."""
    for tag, (vr, value) in elements.items():
        value = padded(vr, value)
        dataset[tag] = RawDataElement(BaseTag(tag), vr, len(value), value, 0, False, True)


def padded(vr: str, value: bytes) -> bytes:
    """Return `value` with even length (PS3.5 6.2)."""
    if len(value) % 2 == 0:
        return value
    return value + (b"\0" if vr in ("UI", "OB", "UN") else b" ")


@lru_cache(maxsize=256)
def concept(code: Code) -> bytes:
    """Return `code` as an item of a code sequence (PS3.3 8.8)."""
    return item(
        {
            0x00080100: ("SH", code.value.encode("ascii")),
            0x00080102: ("SH", code.scheme_designator.encode("ascii")),
            0x00080104: ("LO", code.meaning.encode("ascii")),
        }
    )


def reference(sop_class_uid: str, sop_instance_uid: str, purpose: Code | None = None) -> bytes:
    """Return an item that refers to one instance (PS3.3 10.8 and 10.3)."""
    elements = {
        0x00081150: ("UI", sop_class_uid.encode("ascii")),
        0x00081155: ("UI", sop_instance_uid.encode("ascii")),
    }
    if purpose is not None:
        elements[0x0040A170] = ("SQ", concept(purpose))
    return item(elements)


def sequence(items: Iterable[bytes]) -> tuple[str, bytes]:
    """Return the VR and the value of a sequence of encoded items."""
    return "SQ", b"".join(items)


def _element(tag: int, vr: str, value: bytes) -> bytes:
    value = padded(vr, value)
    name = vr.encode("ascii")
    if vr in _LONG:
        return struct.pack("<HH2sxxL", tag >> 16, tag & 0xFFFF, name, len(value)) + value
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, name, len(value)) + value
