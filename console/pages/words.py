"""Figures, times and names as people read them."""

from __future__ import annotations

from datetime import datetime

_NO_BREAK = "\u202f"


def percent(share: float | None) -> str:
    """Return a share (0 to 1) in percent; one digit more where it is small or nearly all."""
    if share is None:
        return "–"
    digits = 0 if 0.095 <= share < 0.995 else 1
    return f"{100 * share:.{digits}f}{_NO_BREAK}%"


def count(number: int) -> str:
    """Return a number with its thousands set apart."""
    return f"{number:,}".replace(",", _NO_BREAK)


def age(since: datetime, now: datetime) -> str:
    """Return how long ago a moment was: `12 s`, `5 min`, `3 h`, `2 d`."""
    seconds = max(0, int((now - since).total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size}{_NO_BREAK}{unit}"
    return f"{seconds}{_NO_BREAK}s"


def person_name(name: str) -> str:
    """Return a DICOM person name (PS3.5 6.2.1) as it is read: `Curie, Marie`.

    The first of its representations counts; where it is empty, the next one that is not.
    """
    groups = [group for group in (name or "").split("=") if group.strip("^ ")]
    if not groups:
        return ""
    parts = [part.strip() for part in groups[0].split("^")]
    family, given, middle, prefix, suffix = (parts + [""] * 5)[:5]
    rest = " ".join(part for part in (prefix, given, middle, suffix) if part)
    return f"{family}, {rest}" if family and rest else family or rest


def date_in_words(value: str) -> str:
    """Return a DICOM date (YYYYMMDD) as YYYY-MM-DD; what is none stays as it is."""
    if len(value) == 8 and value.isdecimal():
        return f"{value[:4]}-{value[4:6]}-{value[6:]}"
    return value
