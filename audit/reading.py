"""The trail read back, newest first: what each record says, and where the next ones stand."""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from xml.etree import ElementTree as ET

from audit.file import days
from audit.message import PATIENT_NUMBER, STUDY_UID, Action, Outcome

_BLOCK_BYTES = 65_536
_MOST_READ = 20_000
"""Records that are looked at for one page: where few of them fit, it ends with what was found."""
_CURSOR = re.compile(r"(\d{4}-\d{2}-\d{2}):(\d{1,15})")


@dataclass(frozen=True, slots=True)
class Who:
    """One who took part: AE title, process or person; address; what it was known by beside that."""

    user: str
    other_name: str
    address: str
    requestor: bool


@dataclass(frozen=True, slots=True)
class What:
    """What an event was about: `kind` is patient, study, query or resource."""

    kind: str
    identifier: str
    name: str
    details: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Record:
    """A record of the trail. `event` and `kind` are the meanings of EventID and EventTypeCode."""

    at: datetime
    event_code: str
    event: str
    kind_code: str
    kind: str
    action: Action
    outcome: Outcome
    outcome_description: str
    who: tuple[Who, ...]
    about: tuple[What, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records: all that are given must fit.

    `code` is an EventID or EventTypeCode; `user` a part of a name, however capitalised;
    `failed`: how it ended; `since` and `until` (the latter left out): when.
    """

    code: str = ""
    user: str = ""
    failed: bool | None = None
    since: datetime | None = None
    until: datetime | None = None

    def fits(self, record: Record) -> bool:
        """Tell whether a record is wanted."""
        user = self.user.lower()
        return (
            (not self.code or self.code in (record.event_code, record.kind_code))
            and (not user or any(user in f"{w.user} {w.other_name}".lower() for w in record.who))
            and (self.failed is None or self.failed == (record.outcome is not Outcome.SUCCESS))
            and (self.since is None or record.at >= self.since)
            and (self.until is None or record.at < self.until)
        )


@dataclass(frozen=True, slots=True)
class Page:
    """Records, newest first; `next` is where the next page begins, None at the end.

    `unreadable` lines on the way are no records: `file.verify` tells what happened to them.
    """

    records: list[Record]
    next: str | None
    unreadable: int


def page(
    folder: Path, wanted: Wanted, *, limit: int, after: str | None = None, most: int = _MOST_READ
) -> Page:
    """Read a page of the trail in `folder`; `after` is the `next` of the page before.

    At most `most` records are looked at, so that a page may be short, and even empty, with more
    to come.

    Raises:
        ValueError: `after` is no such place.
        OSError: a file cannot be read.
    """
    found: list[Record] = []
    unreadable = 0
    for read, (place, line) in enumerate(_lines(folder, wanted, after), start=1):
        record = _record(line)
        if record is None:
            unreadable += 1
        elif wanted.fits(record):
            found.append(record)
        if len(found) == limit or read == most:
            return Page(found, place, unreadable)
    return Page(found, None, unreadable)


def _lines(folder: Path, wanted: Wanted, after: str | None) -> Iterator[tuple[str, str]]:
    """Yield lines backwards, each with its place, which is where the earlier ones end."""
    day, offset = _place(after)
    for path in reversed(days(folder)):
        if day is not None and path.stem > day:
            continue
        if wanted.until is not None and _begin(path) > wanted.until:
            continue
        if wanted.since is not None and _begin(path) + timedelta(days=1) < wanted.since:
            return
        end = offset if path.stem == day else None
        for begin, line in _backwards(path, end):
            yield f"{path.stem}:{begin}", line


def _begin(path: Path) -> datetime:
    day = datetime.strptime(path.stem, "%Y-%m-%d").date()
    return datetime.combine(day, time(), UTC)


def _place(after: str | None) -> tuple[str | None, int | None]:
    if after is None:
        return None, None
    match = _CURSOR.fullmatch(after)
    if match is None:
        raise ValueError("this is no place in the audit trail")
    return match[1], int(match[2])


def _backwards(path: Path, end: int | None) -> Iterator[tuple[int, str]]:
    """Yield the lines of a file that end at or before `end`, last first, with where each begins."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        position = size if end is None else min(end, size)
        rest = b""
        while position > 0:
            length = min(_BLOCK_BYTES, position)
            position -= length
            file.seek(position)
            first, *whole = (file.read(length) + rest).split(b"\n")
            begin = position + len(first) + 1
            lines = []
            for line in whole:
                lines.append((begin, line))
                begin += len(line) + 1
            for at, line in reversed(lines):
                if line:
                    yield at, line.decode("utf-8", "replace")
            rest = first
        if rest:
            yield 0, rest.decode("utf-8", "replace")


def _record(line: str) -> Record | None:
    """Return what a line says; None where it is no record."""
    _, _, xml = line.partition(" ")
    try:
        root = ET.fromstring(xml)
        event = root.find("EventIdentification")
        if event is None:
            return None
        code, kind = event.find("EventID"), event.find("EventTypeCode")
        return Record(
            at=datetime.fromisoformat(event.attrib["EventDateTime"]),
            event_code=_of(code, "csd-code"),
            event=_of(code, "originalText"),
            kind_code=_of(kind, "csd-code"),
            kind=_of(kind, "originalText"),
            action=Action(event.attrib["EventActionCode"]),
            outcome=Outcome(event.attrib["EventOutcomeIndicator"]),
            outcome_description=event.findtext("EventOutcomeDescription", ""),
            who=tuple(_who(each) for each in root.iterfind("ActiveParticipant")),
            about=tuple(_what(each) for each in root.iterfind("ParticipantObjectIdentification")),
        )
    except (ET.ParseError, KeyError, ValueError):
        return None


def _of(element: ET.Element | None, name: str) -> str:
    return "" if element is None else element.get(name, "")


def _who(element: ET.Element) -> Who:
    return Who(
        element.get("UserID", ""),
        element.get("AlternativeUserID", ""),
        element.get("NetworkAccessPointID", ""),
        element.get("UserIsRequestor") == "true",
    )


def _what(element: ET.Element) -> What:
    code = element.find("ParticipantObjectIDTypeCode")
    query = element.findtext("ParticipantObjectQuery")
    known = {PATIENT_NUMBER.value: "patient", STUDY_UID.value: "study"}
    kind = "query" if query is not None else known.get(_of(code, "csd-code"), "resource")
    details = {
        each.get("type", ""): _decoded(each.get("value", ""))
        for each in element.iterfind("ParticipantObjectDetail")
    }
    return What(
        kind,
        element.get("ParticipantObjectID", ""),
        _decoded(query) if query is not None else element.findtext("ParticipantObjectName", ""),
        details,
    )


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode("utf-8", "replace")
    except binascii.Error:
        return text
