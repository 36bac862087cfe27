"""Values of a stored film's dataset as the bytes that stand in the file. Nothing is judged here."""

from __future__ import annotations

from functools import cache

from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence


@cache
def tag(keyword: str) -> int:
    """Return the tag of a standard attribute."""
    found = tag_for_keyword(keyword)
    if found is None:
        raise KeyError(f"{keyword} is not a DICOM keyword")
    return int(found)


def value(source: Dataset, keyword: str) -> bytes:
    """Return a value without its padding, empty where there is none."""
    element = source.get_item(tag(keyword))
    if isinstance(element, RawDataElement):
        return (element.value or b"").rstrip(b" \0")
    if element is None or element.value is None:
        return b""
    parts = element.value if isinstance(element.value, MultiValue) else [element.value]
    return "\\".join(map(str, parts)).encode("latin-1", "replace")


def string(source: Dataset, keyword: str) -> str:
    """Return a value that has no characters beyond ASCII when it is valid."""
    return value(source, keyword).decode("latin-1")


def strings(source: Dataset, keyword: str) -> list[str]:
    """Return the values of an attribute that may have several."""
    text = string(source, keyword)
    return [part.strip() for part in text.split("\\")] if text else []


def integer(source: Dataset, keyword: str) -> int | None:
    """Return a number, or None where there is none that can be read."""
    try:
        return int(source.get(keyword))
    except (TypeError, ValueError):
        return None


def positives(source: Dataset, keyword: str) -> list[float | None]:
    """Return the values of a DS attribute; what is no positive number is None."""
    return [_positive(part) for part in strings(source, keyword)]


def items(source: Dataset, keyword: str) -> list[Dataset]:
    """Return the items of a sequence."""
    found = source.get(keyword)
    return list(found) if isinstance(found, Sequence) else []


def _positive(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 < number < float("inf") else None
