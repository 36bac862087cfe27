"""The few header values that a received data set is filed by. Pixels are never touched."""

from __future__ import annotations

import re
import struct
from typing import BinaryIO, cast

from pydicom import Dataset, config
from pydicom.filereader import read_dataset
from pydicom.tag import Tag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
)

from scp_service.encoded import Deflated, Encoded, UnreadableError
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
_FIRST = 0x00010000
"""The first tag after group 0000, which stands in commands alone (PS3.7 E.1)."""
LONGEST_VALUE = 65_534
"""In bytes; the longest of the values asked for is some hundreds of bytes (PS3.5 6.2)."""


def is_uid(text: str) -> bool:
    """Tell whether a text may be a UID: 1 to 64 digits and dots (PS3.5, 9.1).

    Leading zeros of a component are let pass: real devices send them.
    """
    return _UID.fullmatch(text) is not None


def read_header(encoded: bytes | memoryview, transfer_syntax: str, *, max_bytes: int) -> Dataset:
    """Read the identifying values of an encoded data set.

    Args:
        encoded: the data set's bytes as they came.
        transfer_syntax: UID of the transfer syntax that they are encoded in.
        max_bytes: how large a deflated data set may become.

    Raises:
        UnreadableError: the bytes are not a data set, it lacks an identifying UID, or its header is
            far longer than that of a film.
        TooLargeError: it inflates to more than `max_bytes`.
    """
    with memoryview(encoded) as view:
        if transfer_syntax == DeflatedExplicitVRLittleEndian:
            source: Encoded = Deflated(view, max_bytes)
        else:
            source = Encoded(view)
        header = _parse(source, transfer_syntax)
        source.finish()
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID"):
        if not is_uid(text(header, keyword)):
            raise UnreadableError(f"the data set has no valid {keyword}")
    return header


def _parse(source: Encoded, transfer_syntax: str) -> Dataset:
    try:
        header = read_dataset(
            cast(BinaryIO, source),
            is_implicit_VR=transfer_syntax == ImplicitVRLittleEndian,
            is_little_endian=transfer_syntax != ExplicitVRBigEndian,
            stop_when=_stops,
            specific_tags=[Tag(keyword) for keyword in _TAGS],
        )
        for element in header:
            str(element.value)
    except UnreadableError:
        raise
    except Exception as error:
        if source.refusal is not None:
            raise source.refusal from None
        # pydicom raises almost anything on broken input; none of it may reach a log with its text.
        raise UnreadableError(f"the data set cannot be parsed ({type(error).__name__})") from None
    return header


def _stops(tag: int, _vr: str | None, length: int) -> bool:
    """Stop pydicom at the pixels, and at what is no data set or would take long to convert."""
    if tag < _FIRST:
        raise UnreadableError("the data set holds elements of group 0000")
    if tag in _ASKED_FOR and length > LONGEST_VALUE:
        raise UnreadableError("an identifying value is far too long")
    return tag >= _PIXELS


def text(header: Dataset, keyword: str, length: int = 400) -> str:
    """Return a value as text that every database takes, "" where it is absent."""
    value = header.get(keyword)
    return "" if value is None else str(value).replace("\x00", "").strip()[:length]


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
