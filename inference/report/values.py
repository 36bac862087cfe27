"""Which values of a film's header are valid DICOM (PS3.5 6.2), and in which character set."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from pydicom.charset import convert_encodings, decode_bytes, python_encoding

TEXT_VRS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
"""VRs whose values are written in the Specific Character Set."""

UID_PATTERN = re.compile(r"[0-9.]{1,64}")

_ESCAPE = b"\x1b"
_DELIMITERS = set(b"\n\f\r\t\\^=")
_LONGEST = {"LO": 64, "LT": 10240, "SH": 16, "ST": 1024, "PN": 64, "DS": 16, "IS": 12, "CS": 16}
_PATTERNS = {
    "AS": re.compile(r"\d{3}[DWMY]"),
    "CS": re.compile(r"[A-Z0-9 _]*"),
    "DS": re.compile(r" *[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)? *"),
    "IS": re.compile(r" *[+-]?\d+ *"),
    "TM": re.compile(
        r"([01]\d|2[0-3])([0-5]\d(([0-5]\d|60)(\.\d{1,6})?)?)? *",
    ),
    "UI": UID_PATTERN,
}
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_CONTROL_BUT_LINES = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")


def character_set(declared: tuple[str, ...], texts: Sequence[bytes]) -> tuple[str, ...]:
    """Return the Specific Character Set that `texts` are really written in.

    The declared one, if it can be; else UTF-8 where all of them are, else Latin 1, which is what
    undeclared texts in practice are. The bytes themselves stay, so that a PACS which compares them
    finds the patient it knows.
    """
    if len(declared) == 1 and not any(_ESCAPE in text for text in texts):
        # A term of code extensions that extends nothing means its plain sibling (PS3.3 C.12.1.1.2).
        declared = (declared[0].replace("ISO 2022 IR ", "ISO_IR "),)
    known = all(term in python_encoding for term in declared)
    special = [text for text in texts if not text.isascii() or _ESCAPE in text]
    if not special:
        return declared if known else ()
    if known and declared not in ((), ("",), ("ISO_IR 6",)):
        decoded = [decode(text, declared) for text in special]
        if not any("\ufffd" in text for text in decoded):
            return declared
    if all("\ufffd" not in decode(text, ("ISO_IR 192",)) for text in special):
        return ("ISO_IR 192",)
    return ("ISO_IR 100",)


def decode(text: bytes, charset: tuple[str, ...]) -> str:
    """Return `text` as a string; what cannot be decoded becomes U+FFFD."""
    encodings = convert_encodings(list(charset))
    if _ESCAPE not in text:
        return text.decode(encodings[0], "replace")
    return decode_bytes(text, encodings, _DELIMITERS)


def is_valid(vr: str, multiple: bool, value: bytes, charset: tuple[str, ...]) -> bool:
    """Whether `value` may stand in an element of VR `vr`, with several values if `multiple`."""
    text = decode(value, charset) if vr in TEXT_VRS else value.decode("latin-1")
    if vr in ("LT", "ST", "UT"):
        return not _CONTROL_BUT_LINES.search(text) and len(text) <= _LONGEST.get(vr, len(text))
    parts = text.split("\\")
    return (multiple or len(parts) == 1) and all(_is_valid_part(vr, part) for part in parts)


def _is_valid_part(vr: str, text: str) -> bool:
    if vr == "DA":
        return _is_date(text)
    if vr == "PN":
        groups = text.split("=")
        return len(groups) <= 3 and all(
            len(group) <= _LONGEST[vr] and group.count("^") <= 4 and not _CONTROL.search(group)
            for group in groups
        )
    if _CONTROL.search(text) or len(text) > _LONGEST.get(vr, len(text)):
        return False
    pattern = _PATTERNS.get(vr)
    return pattern is None or pattern.fullmatch(text) is not None


def _is_date(text: str) -> bool:
    if not re.fullmatch(r"\d{8}", text):
        return False
    try:
        datetime.strptime(text, "%Y%m%d")
    except ValueError:
        return False
    return True
