"""The filters of `hilum history` as a person types them, each held against what it can be."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime

from commands.problem import ProblemError
from db.states import StudyState

FINDINGS = ("opacity", "abnormal", "normal", "failed")
_MOST_AE_TITLE = 16


def study_dates(text: str | None) -> tuple[str | None, str | None]:
    """Read YYYYMMDD or YYYYMMDD-YYYYMMDD; return the first and the last day.

    Raises:
        ProblemError: it is neither.
    """
    if not text:
        return None, None
    days = text.split("-")
    if len(days) > 2 or not all(map(_is_day, days)) or days[0] > days[-1]:
        raise ProblemError(
            f"--study-date {text}: a day is needed as YYYYMMDD, or from one to another as"
            " YYYYMMDD-YYYYMMDD"
        )
    return days[0], days[-1]


def probabilities(text: str | None) -> tuple[float | None, float | None]:
    """Read the least probability, or a range such as 0.2-0.8; return both ends.

    Raises:
        ProblemError: it is neither.
    """
    if not text:
        return None, None
    try:
        low, *high = map(float, text.split("-"))
        good = len(high) < 2 and 0 <= low <= max([low, *high]) <= 1 and (not high or low <= high[0])
    except ValueError:
        good = False
    if not good:
        raise ProblemError(
            f"--probability {text}: a number from 0 to 1 is needed, or a range such as 0.2-0.8"
        )
    return low, high[0] if high else None


def finding(text: str | None) -> str | None:
    """Return a finding that there is.

    Raises:
        ProblemError: there is none of this name.
    """
    return _among("--finding", text, FINDINGS)


def state(text: str | None) -> StudyState | None:
    """Return a study's state.

    Raises:
        ProblemError: there is none of this name.
    """
    known = _among("--state", text, [each.value for each in StudyState])
    return None if known is None else StudyState(known)


def ae_title(option: str, text: str) -> str:
    """Return an AE title that a peer can be called by (PS3.5 6.2).

    Raises:
        ProblemError: no AE title looks like this.
    """
    title = text.strip()
    printable = title.isascii() and title.isprintable() and "\\" not in title
    if not printable or not 1 <= len(title) <= _MOST_AE_TITLE:
        raise ProblemError(
            f"{option}: an AE title has 1 to 16 printable ASCII characters and no backslash"
        )
    return title


def _among(option: str, text: str | None, known: Iterable[str]) -> str | None:
    names = list(known)
    if text is None or text in names:
        return text
    raise ProblemError(f"{option} {text}: it can be {', '.join(names[:-1])} or {names[-1]}")


def _is_day(text: str) -> bool:
    if not re.fullmatch(r"[0-9]{8}", text):
        return False
    try:
        datetime.strptime(text, "%Y%m%d")
    except ValueError:
        return False
    return True
