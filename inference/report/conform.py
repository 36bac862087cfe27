"""Whether an encoded object is what its IOD asks for. What it says of a study is not judged here.

The file is read strictly, by a reader that shares nothing with the writer: Explicit VR Little
Endian, elements in order, every length true. Errors name attributes and never show a value.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from functools import cache, lru_cache

from pydicom.datadict import dictionary_VM, dictionary_VR, keyword_for_tag

from inference.report import stored
from inference.report.header import ReportError
from inference.report.iods import CODE, IODS, Parsed, Rule
from inference.report.values import TEXT_VRS, is_valid

_NAMES = {"sr": "the report", "sc": "an overlay", "gsps": "a presentation state"}
_ELEMENT = struct.Struct("<HH2sH")
_ITEM = struct.Struct("<HHL")
_LENGTH = struct.Struct("<L")
_META_START = 132
_LONG = frozenset({b"OB", b"OW", b"SQ", b"UN", b"UT", b"UC"})
_BINARY = frozenset({b"US", b"SS", b"SL", b"UL", b"FL", b"FD", b"OB", b"OW"})
_PIXEL_DATA = 0x7FE00010
_CHARSET = 0x00080005
_CODES = frozenset(
    map(
        stored.tag,
        ("ConceptNameCodeSequence", "ConceptCodeSequence", "MeasurementUnitsCodeSequence"),
    )
)
_AS_THEY_CAME = frozenset(
    map(stored.tag, ("PatientName", "PatientID", "IssuerOfPatientID", "AccessionNumber"))
)
"""What identifies patient and study comes back as it came, valid or not (see `carried`)."""
_UID = re.compile(rb"(0|[1-9]\d*)(\.(0|[1-9]\d*))+")
_OUR_UIDS = frozenset(map(stored.tag, ("SOPInstanceUID", "TrackingUID", "UID")))
_SIZES = {"US": 2, "SS": 2, "SL": 4, "UL": 4, "FL": 4, "FD": 8}


def conforming(kind: str, data: bytes) -> Parsed:
    """Return the parsed data set of an object of `kind`, which is what its IOD asks for.

    Raises:
        ReportError: it is not; the message says what is wrong.
    """
    name = _NAMES[kind]
    try:
        parsed = parse(data)
    except (struct.error, _FormatError) as error:
        raise ReportError(f"{name} is not well encoded: {error}") from None
    check_rules(parsed, IODS[kind], name)
    charset = tuple(filter(None, text(parsed, _CHARSET).split("\\")))
    _check_values(parsed, charset, name)
    return parsed


def parse(data: bytes) -> Parsed:
    """Read a file's meta information and its data set up to the pixel data.

    Raises:
        struct.error, _FormatError: it is not well encoded.
    """
    if data[128:_META_START] != b"DICM":
        raise _FormatError("it has no file header")
    return _elements(data, _META_START, len(data))


def check_rules(parsed: Parsed, rules: tuple[Rule, ...], name: str) -> None:
    """Check the attributes of `name` against rules, those in its sequences too.

    Raises:
        ReportError: one is missing, empty or has a value that it may not have.
    """
    for rule in rules:
        element = parsed.get(rule.tag)
        if element is None:
            if rule.type < 3 and (rule.when is None or rule.when(parsed)):
                raise ReportError(f"{name} lacks {rule.keyword}")
            continue
        value = element[1]
        if rule.type == 1 and not value:
            raise ReportError(f"{name} has no value in {rule.keyword}")
        if isinstance(value, list):
            for item in value:
                check_rules(item, rule.items, f"{rule.keyword} of {name}")
        elif value and rule.one_of and not rule.one_of.issuperset(value.split(b"\\")):
            raise ReportError(f"{name} has a value in {rule.keyword} that is not allowed there")


def references(parsed: Parsed, *, but: int = 0) -> Iterator[tuple[str, str]]:
    """Yield SOP class and instance of every reference, those below the tag `but` left out."""
    if 0x00081155 in parsed:
        yield text(parsed, 0x00081150), text(parsed, 0x00081155)
    for tag, (_, value) in parsed.items():
        if isinstance(value, list) and tag != but:
            for item in value:
                yield from references(item, but=but)


def text(parsed: Parsed, tag: int) -> str:
    """Return the text of an attribute, "" where it is absent."""
    if tag not in parsed:
        return ""
    value = parsed[tag][1]
    return value.decode("latin-1") if isinstance(value, bytes) else ""


class _FormatError(Exception):
    """The bytes are not Explicit VR Little Endian; says where."""


def _elements(data: bytes, start: int, end: int) -> Parsed:
    found: Parsed = {}
    last = -1
    while start < end:
        group, element, vr, length = _ELEMENT.unpack_from(data, start)
        tag = group << 16 | element
        start += 8
        if tag <= last:
            raise _FormatError(f"{keyword_for_tag(tag)} stands out of order")
        last = tag
        if vr in _LONG:
            (length,) = _LENGTH.unpack_from(data, start)
            start += 4
        if tag == _PIXEL_DATA:
            found[tag] = "OB", b"\0"
            break
        stop = start + length
        if stop > end or length % 2:
            raise _FormatError(f"the length of {keyword_for_tag(tag)} is wrong")
        if vr != b"SQ":
            value = data[start:stop]
            found[tag] = vr.decode("ascii"), value if vr in _BINARY else value.rstrip(b" \0")
        elif tag in _CODES:
            found[tag] = "SQ", _codes(data[start:stop])
        else:
            found[tag] = "SQ", _items(data, start, stop)
        start = stop
    return found


def _items(data: bytes, start: int, end: int) -> list[Parsed]:
    found = []
    while start < end:
        group, element, length = _ITEM.unpack_from(data, start)
        start += 8
        if (group, element) != (0xFFFE, 0xE000) or start + length > end:
            raise _FormatError("an item of a sequence is wrong")
        found.append(_elements(data, start, start + length))
        start += length
    return found


@lru_cache(maxsize=1024)
def _codes(data: bytes) -> list[Parsed]:
    """Read a code sequence and check it; the same few hundred stand in every report."""
    items = _items(data, 0, len(data))
    for item in items:
        check_rules(item, CODE, "a code")
    return items


def _check_values(parsed: Parsed, charset: tuple[str, ...], name: str) -> None:
    for tag, (vr, value) in parsed.items():
        keyword, expected, multiple = _entry(tag)
        if vr not in expected:
            raise ReportError(f"{name} has {keyword} with the wrong VR")
        if isinstance(value, list):
            if tag not in _CODES:
                for item in value:
                    _check_values(item, charset, name)
        elif value and not _fits(tag, vr, multiple, value, charset):
            raise ReportError(f"{name} has a value in {keyword} that is not valid")


def _fits(tag: int, vr: str, multiple: bool, value: bytes, charset: tuple[str, ...]) -> bool:
    if vr in _SIZES:
        return len(value) % _SIZES[vr] == 0
    if tag in _AS_THEY_CAME or vr in ("OB", "OW"):
        return True
    if tag in _OUR_UIDS:
        return len(value) <= 64 and _UID.fullmatch(value) is not None
    if vr in TEXT_VRS and not charset and not value.isascii():
        return False  # PS3.3 C.12.1.1.2: the character set must then be named
    return is_valid(vr, multiple, value, charset)


@cache
def _entry(tag: int) -> tuple[str, list[str], bool]:
    """Return keyword, possible VRs and whether there may be several values (PS3.6)."""
    return keyword_for_tag(tag), dictionary_VR(tag).split(" or "), dictionary_VM(tag) != "1"
