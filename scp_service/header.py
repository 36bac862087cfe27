"""The few header values that a received data set is filed by. Pixels are never touched."""

from __future__ import annotations

import re
import struct
import zlib
from io import BytesIO

from pydicom import Dataset, config
from pydicom.filereader import read_dataset
from pydicom.tag import Tag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
)

from settings.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

# pydicom's warnings about a value quote it, and no name or UID may reach standard error. What a
# value must look like is checked here where it matters.
config.settings.reading_validation_mode = config.IGNORE

_UID = re.compile(r"[0-9.]{1,64}")
_TAGS = (
    "SpecificCharacterSet",
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyDate",
    "AccessionNumber",
    "Modality",
    "StationName",
    "StudyDescription",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "SeriesInstanceUID",
)
_ASKED_FOR = frozenset(int(Tag(keyword)) for keyword in _TAGS)
_PIXELS = 0x7FE00008
_UNDEFINED_LENGTH = 0xFFFFFFFF
_ITEM_TAGS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")  # little and big endian
MOST_ITEMS = 20_000
"""Sequence items that a header may hold: each takes tens of microseconds to parse."""
LONGEST_VALUE = 65_534
"""In bytes; the longest of the values asked for is some hundreds of bytes (PS3.5 6.2)."""
_LONGEST_HEADER = 64 * 1024 * 1024
"""How much of a data set that is not in memory as it is, or was deflated, is parsed."""
_INFLATED_PART = 16 * 1024 * 1024


class UnreadableError(Exception):
    """A data set cannot be taken; the message says why and holds no patient data."""


class TooLargeError(Exception):
    """A data set is larger than the configured limit."""


def is_uid(text: str) -> bool:
    """Tell whether a text may be a UID: 1 to 64 digits and dots (PS3.5, 9.1).

    Leading zeros of a component are let pass: real devices send them.
    """
    return _UID.fullmatch(text) is not None


def read_header(encoded: bytes | memoryview, transfer_syntax: str, *, max_bytes: int) -> Dataset:
    """Read the identifying values of an encoded data set.

    Args:
        encoded: the data set's bytes as they came; of a view of them, no more than the first 64 MiB
            are looked at.
        transfer_syntax: UID of the transfer syntax that they are encoded in.
        max_bytes: how large a deflated data set may become.

    Raises:
        UnreadableError: the bytes are not a data set, or it lacks an identifying UID.
        TooLargeError: it inflates to more than `max_bytes`.
    """
    if transfer_syntax == DeflatedExplicitVRLittleEndian:
        encoded = _inflate(encoded, max_bytes)
    if isinstance(encoded, memoryview):
        encoded = bytes(encoded[:_LONGEST_HEADER])
    file = BytesIO(encoded)
    try:
        header = read_dataset(
            file,
            is_implicit_VR=transfer_syntax == ImplicitVRLittleEndian,
            is_little_endian=transfer_syntax != ExplicitVRBigEndian,
            stop_when=_Guard(file),
            specific_tags=[Tag(keyword) for keyword in _TAGS],
        )
        for element in header:
            str(element.value)
    except UnreadableError:
        raise
    except Exception as error:
        # pydicom raises almost anything on broken input; none of it may reach a log with its text.
        raise UnreadableError(f"the data set cannot be parsed ({type(error).__name__})") from None
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID"):
        if not is_uid(text(header, keyword)):
            raise UnreadableError(f"the data set has no valid {keyword}")
    return header


def text(header: Dataset, keyword: str, length: int = 400) -> str:
    """Return a value as text that every database takes, "" where it is absent."""
    value = header.get(keyword)
    return "" if value is None else str(value).replace("\x00", "").strip()[:length]


class _Guard:
    """pydicom's stop condition: stops at the pixels, and lets no peer keep the listener busy."""

    def __init__(self, file: BytesIO) -> None:
        self._file = file
        self._counted = False

    def __call__(self, tag: int, vr: str | None, length: int) -> bool:
        if tag >= _PIXELS:
            return True
        if length == _UNDEFINED_LENGTH:
            if not self._counted:
                self._counted = True
                self._count_items()
        elif tag in _ASKED_FOR and length > LONGEST_VALUE:
            raise UnreadableError("an identifying value is far too long")
        return False

    def _count_items(self) -> None:
        """Bound the items of sequences whose length is not told: all of them are parsed."""
        start = self._file.tell()
        with self._file.getbuffer() as view:
            rest = bytes(view[start : start + _LONGEST_HEADER])
        if max(map(rest.count, _ITEM_TAGS)) > MOST_ITEMS:
            raise UnreadableError("the data set holds too many sequence items")


def _inflate(encoded: bytes | memoryview, max_bytes: int) -> bytes:
    """Inflate as much as a header may take; the rest is only measured."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    kept, size = bytearray(), 0
    try:
        while encoded and not inflater.eof:
            part = inflater.decompress(encoded, min(_INFLATED_PART, max_bytes + 1 - size))
            encoded = inflater.unconsumed_tail
            size += len(part)
            if size > max_bytes:
                raise TooLargeError("the deflated data set inflates to more than is allowed")
            kept += part[: _LONGEST_HEADER - len(kept)]
    except zlib.error:
        raise UnreadableError("the deflated data set cannot be inflated") from None
    return bytes(kept)


def file_head(
    sop_class_uid: str, sop_instance_uid: str, transfer_syntax: str, source_ae: str
) -> bytes:
    """Return what stands before the data set in a file (PS3.10 7.1): preamble and meta information.

    Written out here, because pydicom takes a millisecond for it, a tenth of a film's whole intake.
    """
    group = struct.pack("<HH2sxxL", 2, 0x0001, b"OB", 2) + b"\x00\x01"
    for element, vr, value in (
        (0x0002, b"UI", sop_class_uid),
        (0x0003, b"UI", sop_instance_uid),
        (0x0010, b"UI", transfer_syntax),
        (0x0012, b"UI", IMPLEMENTATION_CLASS_UID),
        (0x0013, b"SH", IMPLEMENTATION_VERSION_NAME),
        (0x0016, b"AE", source_ae),
    ):
        encoded = value.encode("ascii", "replace")
        encoded += (b"\0" if vr == b"UI" else b" ") * (len(encoded) % 2)
        group += struct.pack("<HH2sH", 2, element, vr, len(encoded)) + encoded
    length = struct.pack("<HH2sHL", 2, 0x0000, b"UL", 4, len(group))
    return b"\0" * 128 + b"DICM" + length + group
