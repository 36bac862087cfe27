"""Values out of headers that may be wrong: text, numbers, sequence items; never an exception."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

_PYDICOM_LOG = logging.getLogger("pydicom")
_NEVER = logging.CRITICAL + 1
_LONGEST_VALUE = 65_534
"""In bytes; more has no value that is asked for here, and converting it could take minutes."""


def text(header: Dataset, keyword: str) -> str:
    """The element's value as one stripped string, "" where it is absent, empty or unreadable."""
    value = _value(header, keyword)
    if value is None:
        return ""
    if isinstance(value, (MultiValue, list, tuple)):
        return "\\".join(str(part).strip() for part in value)
    return str(value).strip(" \0\t\r\n")


def texts(header: Dataset, keyword: str) -> list[str]:
    """The values of a multi-valued element, each stripped; [] where it is absent or unreadable."""
    whole = text(header, keyword)
    return whole.split("\\") if whole else []


def numbers(header: Dataset, keyword: str) -> list[float]:
    """The element's finite numbers, in order; [] where it is absent or one of them is no number."""
    value = _value(header, keyword)
    if value is None or isinstance(value, (bytes, bytearray, Sequence)):
        return []
    parts = value if isinstance(value, (MultiValue, list, tuple)) else str(value).split("\\")
    return _finite(parts)


def number(header: Dataset, keyword: str) -> float | None:
    """The element's first number, None where it is absent or not a number."""
    values = numbers(header, keyword)
    return values[0] if values else None


def integer(header: Dataset, keyword: str) -> int | None:
    """The element's first number if it is whole, else None."""
    value = number(header, keyword)
    return int(value) if value is not None and value == int(value) else None


def items(header: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence; [] where it is absent, empty or no sequence."""
    value = _value(header, keyword)
    return list(value) if isinstance(value, Sequence) else []


@contextmanager
def quiet() -> Iterator[None]:
    """Keep pydicom's warnings and log to itself: they quote values, which are patient data."""
    if _PYDICOM_LOG.level != _NEVER:  # to set a level makes all loggers forget what they log
        _PYDICOM_LOG.setLevel(_NEVER)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _value(header: Dataset, keyword: str) -> object:
    # Elements are converted when they are first looked at, and a broken one may raise anything.
    try:
        element = header.get_item(keyword)
        if element is None:
            return None
        if not isinstance(element, DataElement):
            if element.VR != "SQ" and len(element.value or b"") > _LONGEST_VALUE:
                return None
            with quiet():
                element = header[keyword]
        value: object = element.value
    except Exception:
        return None
    return value


def _finite(parts: Iterable[object]) -> list[float]:
    values: list[float] = []
    for part in parts:
        try:
            value = float(str(part))
        except ValueError:
            return []
        if not math.isfinite(value):
            return []
        values.append(value)
    return values
