"""The few header values that a received data set is filed by. Pixels are never touched."""

from __future__ import annotations

import re
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
_PIXELS = 0x7FE00008


class UnreadableError(Exception):
    """A data set cannot be taken; the message says why and holds no patient data."""


class TooLargeError(Exception):
    """A data set is larger than the configured limit."""


def is_uid(text: str) -> bool:
    """Tell whether a text may be a UID: 1 to 64 digits and dots (PS3.5, 9.1).

    Leading zeros of a component are let pass: real devices send them.
    """
    return _UID.fullmatch(text) is not None


def read_header(encoded: bytes, transfer_syntax: str, *, max_bytes: int) -> Dataset:
    """Read the identifying values of an encoded data set.

    Args:
        encoded: the data set's bytes as they came.
        transfer_syntax: UID of the transfer syntax that they are encoded in.
        max_bytes: how large a deflated data set may become.

    Raises:
        UnreadableError: the bytes are not a data set, or it lacks an identifying UID.
        TooLargeError: it inflates to more than `max_bytes`.
    """
    if transfer_syntax == DeflatedExplicitVRLittleEndian:
        encoded = _inflate(encoded, max_bytes)
    try:
        header = read_dataset(
            BytesIO(encoded),
            is_implicit_VR=transfer_syntax == ImplicitVRLittleEndian,
            is_little_endian=transfer_syntax != ExplicitVRBigEndian,
            stop_when=lambda tag, _vr, _length: tag >= _PIXELS,
            specific_tags=[Tag(keyword) for keyword in _TAGS],
        )
        for element in header:
            str(element.value)
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


def _inflate(encoded: bytes, max_bytes: int) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = inflater.decompress(encoded, max_bytes + 1)
    except zlib.error:
        raise UnreadableError("the deflated data set cannot be inflated") from None
    if len(data) > max_bytes:
        raise TooLargeError("the deflated data set inflates to more than is allowed")
    return data
