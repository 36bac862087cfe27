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


def duration(seconds: float | None) -> str:
    """Return a time as people say it: `0.35 s`, `12 s`, `4.2 min`, `3.1 h`, `2.5 d`."""
    if seconds is None:
        return "–"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size * 0.995:
            return f"{_three(seconds / size)}{_NO_BREAK}{unit}"
    return f"{_three(seconds)}{_NO_BREAK}s"


def grey(value: float | None) -> str:
    """Return a grey (0 to 255) without digits after the point."""
    return "–" if value is None else f"{value:.0f}"


def size(number: float) -> str:
    """Return bytes with a decimal prefix: `4.2 GB`."""
    for power, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if number >= power:
            return f"{_three(number / power)}{_NO_BREAK}{unit}"
    return f"{number:.0f}{_NO_BREAK}B"


def _three(value: float) -> str:
    """Return a number with two digits, or all before the point where there are more."""
    return f"{value:.0f}" if value >= 9.95 else f"{value:.1f}" if value >= 0.995 else f"{value:.2g}"


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
