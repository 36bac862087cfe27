"""What an archive is asked for: the keys of a query, and how a person writes them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fnmatch import fnmatchcase

_DAYS_BACK = re.compile(r"-?(\d{1,5})d")
_DATE = r"\d{8}|\d{4}-\d{2}-\d{2}"
_RANGE = re.compile(rf"({_DATE})?(?:-|\.\.)({_DATE})?")


class QueryError(ValueError):
    """A part of a query cannot be understood; the message names it and says what is expected."""


@dataclass(frozen=True, slots=True)
class Query:
    """The studies that are wanted; "" means any.

    `dates` is a DICOM date or range of dates (PS3.4 C.2.2.2.5). The texts may hold the wildcards
    `*` and `?` (PS3.4 C.2.2.2.4).
    """

    modalities: tuple[str, ...]
    dates: str = ""
    patient_id: str = ""
    accession_number: str = ""
    study_description: str = ""

    def __post_init__(self) -> None:
        """Refuse what would be no single value of a key.

        Raises:
            QueryError: a value holds a backslash or a control character.
        """
        for name, values in (
            ("modality", self.modalities),
            ("patient ID", (self.patient_id,)),
            ("accession number", (self.accession_number,)),
            ("study description", (self.study_description,)),
        ):
            if any("\\" in value or not value.isprintable() for value in values):
                raise QueryError(f"the {name} may hold no backslash and no control character")

    @property
    def is_open(self) -> bool:
        """Tell whether nothing but the modality is asked for: the whole archive."""
        return not (
            self.dates or self.patient_id or self.accession_number or self.study_description
        )

    def describes(self, study_description: str) -> bool:
        """Tell whether a study's description matches; an archive may ignore this optional key."""
        wanted = self.study_description.casefold()
        return not wanted or fnmatchcase(study_description.casefold(), wanted)


def study_dates(text: str, today: date) -> str:
    """Read the dates that a person asks for into a DICOM date or range (PS3.4 C.2.2.2.5).

    `today`, `yesterday`, `7d` or `-7d` (the last seven days and today), one date, or two dates
    with `-` (as DICOM does) or `..` between them, of which one may be left out. A date is YYYYMMDD
    or YYYY-MM-DD.

    Raises:
        QueryError: it is none of these, no day of the calendar, or the range runs backwards.
    """
    if text == "today":
        return f"{today:%Y%m%d}"
    if text == "yesterday":
        return f"{today - timedelta(days=1):%Y%m%d}"
    if back := _DAYS_BACK.fullmatch(text):
        return f"{today - timedelta(days=int(back[1])):%Y%m%d}-{today:%Y%m%d}"
    if re.fullmatch(_DATE, text):
        return _day(text)
    found = _RANGE.fullmatch(text)
    if found is None or found[1] is found[2] is None:
        raise QueryError(
            f"{text!r} is no date: today, yesterday, -7d, YYYYMMDD or YYYYMMDD-YYYYMMDD is needed"
        )
    first, last = (_day(each) if each else "" for each in found.groups())
    if first and last and last < first:
        raise QueryError(f"the dates {text!r} run backwards: the earlier one stands first")
    return f"{first}-{last}"


def _day(text: str) -> str:
    digits = text.replace("-", "")
    try:
        return f"{datetime.strptime(digits, '%Y%m%d'):%Y%m%d}"
    except ValueError:
        raise QueryError(f"{text!r} is no day of the calendar") from None
