"""The worklist: studies by any filter, in two orders, a page at a time from either end of one.

Pages are told apart by keys, not by numbers: a page far down costs what the first one costs, and
nothing is shown twice or left out while studies come in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any

from sqlalchemy import (
    ColumnElement,
    SQLColumnExpression,
    and_,
    bindparam,
    exists,
    func,
    or_,
    select,
    tuple_,
)
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from db.models import Delivery, Report, Result, Study
from db.session import Database
from db.states import DeliveryState, Priority, StudyState
from settings.destinations.sink import SELF_TEST_AE

_MOST_CHOICES = 200
_FEW = 2000
"""So many studies are sorted in no time; of more, enough are soon met on the way along an order.

A planner cannot know which of the two it is: what it must not go by is hidden from it.
"""


class Order(StrEnum):
    """What comes first."""

    PROBABILITY = "probability"
    """The highest probability; studies without one come last."""
    NEWEST = "newest"
    """What came last."""


class Delivered(StrEnum):
    """How far the results of a study's latest report have got."""

    NOT = "not"
    """Some object is still on its way, or was rejected; or there is no report to be sent."""
    PENDING = "pending"
    """Some object is still on its way."""
    REJECTED = "rejected"
    """Some object was refused for good."""
    SENT = "sent"
    """There are objects, and all of them arrived."""
    COMMITTED = "committed"
    """Some object's storage is committed."""


@dataclass(frozen=True, slots=True)
class Filter:
    """What to look for; a value that is None does not limit the list.

    `since` and `until` are about when the first image came, `study_date_from` and `study_date_to`
    about the study's own date (YYYYMMDD, both included). `text` is a Patient ID, an accession
    number or a Study Instance UID, or how a patient's name begins, in any case. `delivered` is
    about `destination`, or about any where that is None; `destination` alone finds what goes there.
    Films of the self-test are listed only where their source is asked for.
    """

    since: datetime | None = None
    until: datetime | None = None
    study_date_from: str | None = None
    study_date_to: str | None = None
    text: str | None = None
    patient_id: str | None = None
    accession_number: str | None = None
    probability_min: float | None = None
    probability_max: float | None = None
    finding: str | None = None
    state: StudyState | None = None
    priority: Priority | None = None
    source_ae: str | None = None
    station: str | None = None
    bundle: str | None = None
    delivered: Delivered | None = None
    destination: str | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """A study's place in an order: what it is ordered by, and its id where that is the same."""

    value: datetime | float
    study_id: int


@dataclass(frozen=True, slots=True)
class Page:
    """Some studies in order, and whether there are more on either side."""

    studies: Sequence[Study]
    more_before: bool
    more_after: bool


def page(
    session: Session,
    wanted: Filter,
    order: Order,
    *,
    limit: int,
    after: Key | None = None,
    before: Key | None = None,
) -> Page:
    """Return the studies that come first, or next after a key, or last before one."""
    column, conditions = _planned(session, wanted, order)
    query = select(Study).where(*conditions)
    if before is not None:
        query = query.where(tuple_(column, Study.id) > _place(before))
        found = session.scalars(query.order_by(column, Study.id).limit(limit + 1)).all()
        if len(found) <= limit:  # the way back ends at the beginning, with a whole page
            return page(session, wanted, order, limit=limit)
        return Page(found[limit - 1 :: -1], more_before=True, more_after=True)
    if after is not None:
        query = query.where(tuple_(column, Study.id) < _place(after))
    query = query.order_by(column.desc(), Study.id.desc())
    found = session.scalars(query.limit(limit + 1)).all()
    return Page(found[:limit], more_before=after is not None, more_after=len(found) > limit)


def all_pages(
    database: Database, wanted: Filter, order: Order, *, limit: int = 1000
) -> Iterator[Sequence[Study]]:
    """Yield every study, page by page; each is a transaction of its own, so that nobody waits."""
    after = None
    while True:
        with database.read() as session:
            found = page(session, wanted, order, limit=limit, after=after)
        if found.studies:
            yield found.studies
        if not found.more_after:
            return
        after = key_of(found.studies[-1], order)


def key_of(study: Study, order: Order) -> Key:
    """Return a study's place in an order."""
    if order is Order.NEWEST:
        return Key(study.created_at, study.id)
    return Key(-1.0 if study.probability is None else study.probability, study.id)


def sources(session: Session) -> list[str]:
    """List the sources that studies came from, but for our own self-test."""
    return [each for each in _values(session, Study.source_ae) if each != SELF_TEST_AE]


def stations(session: Session) -> list[str]:
    """List the stations that studies came from."""
    return _values(session, Study.station)


def bundles(session: Session) -> list[str]:
    """List the bundles that studies were reported by."""
    return _values(session, Study.bundle)


def waiting_destinations(session: Session) -> list[str]:
    """List the destinations that lack something."""
    return _values(session, Delivery.destination, _undelivered())


def _values(
    session: Session,
    column: InstrumentedAttribute[str] | InstrumentedAttribute[str | None],
    *conditions: ColumnElement[bool],
) -> list[str]:
    """List the values of an indexed column: one look into the index each, not one for each row."""
    found: list[str] = []
    last = ""
    while len(found) < _MOST_CHOICES:
        following = session.scalar(select(func.min(column)).where(column > last, *conditions))
        if following is None:
            break
        found.append(following)
        last = following
    return found


def _column(order: Order) -> InstrumentedAttribute[datetime] | InstrumentedAttribute[float]:
    return Study.created_at if order is Order.NEWEST else Study.rank


def _planned(
    session: Session, wanted: Filter, order: Order
) -> tuple[SQLColumnExpression[Any], list[ColumnElement[bool]]]:
    """Return what to order by and the conditions, so that one index leads to the page.

    Where a range (of time, of probabilities, of names) holds few studies, they are looked up by it
    and sorted; where it holds many, the way is along the order, and the range is a filter.
    """
    column, conditions, ranges = _column(order), _conditions(wanted), _ranges(wanted)
    others = [key for key in ranges if key != column.key]
    few = {key for key in others if _holds_few(session, ranges[key](_RANGED[key]))}
    seen = few or {column.key}
    return (_hidden(column) if few else column), [
        *conditions,
        *(
            each(_RANGED[key] if key in seen else _hidden(_RANGED[key]))
            for key, each in ranges.items()
        ),
    ]


Ranged = Callable[[SQLColumnExpression[Any]], ColumnElement[bool]]
"""Makes a condition of a column, or of what hides it from the planner."""

_RANGED: dict[str, InstrumentedAttribute[Any]] = {
    "created_at": Study.created_at,
    "rank": Study.rank,
    "study_date": Study.study_date,
    "patient_name_key": Study.patient_name_key,
}


def _ranges(wanted: Filter) -> dict[str, Ranged]:
    """Return the conditions that are ranges, by the column that they are of."""
    found: dict[str, Ranged] = {}
    for key, low, high, below in (
        ("created_at", wanted.since, wanted.until, True),
        ("study_date", wanted.study_date_from, wanted.study_date_to, False),
        ("rank", wanted.probability_min, wanted.probability_max, False),
    ):
        if low is not None or high is not None:
            least = 0.0 if key == "rank" and low is None else low  # without one, rank is -1
            found[key] = partial(_between, low=least, high=high, below=below)
    if wanted.text is not None:
        found["patient_name_key"] = partial(_text, wanted.text)
    return found


def _between(
    column: SQLColumnExpression[Any], *, low: Any, high: Any, below: bool
) -> ColumnElement[bool]:
    parts = [] if low is None else [column >= low]
    if high is not None:
        parts.append(column < high if below else column <= high)
    return and_(*parts)


def _holds_few(session: Session, condition: ColumnElement[bool]) -> bool:
    some = select(Study.id).where(condition).limit(_FEW + 1).subquery()
    return (session.scalar(select(func.count()).select_from(some)) or 0) <= _FEW


def _hidden(column: SQLColumnExpression[Any]) -> ColumnElement[Any]:
    """The same value, by which no index is found."""
    return func.coalesce(column, column)


def _place(key: Key) -> ColumnElement[tuple[object, ...]]:
    kind = Study.created_at.type if isinstance(key.value, datetime) else Study.rank.type
    return tuple_(bindparam(None, key.value, kind), bindparam(None, key.study_id, Study.id.type))


def _conditions(wanted: Filter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    for column, value in (
        (Study.patient_id, wanted.patient_id),
        (Study.accession_number, wanted.accession_number),
        (Study.finding, wanted.finding),
        (Study.state, wanted.state),
        (Study.priority, wanted.priority),
        (Study.source_ae, wanted.source_ae),
        (Study.station, wanted.station),
        (Study.bundle, wanted.bundle),
    ):
        if value is not None:
            conditions.append(column == value)
    if wanted.source_ae is None:
        conditions.append(Study.source_ae != SELF_TEST_AE)
    if wanted.delivered is not None or wanted.destination is not None:
        conditions.append(_delivered(wanted.delivered, wanted.destination))
    return conditions


def _text(text: str, key: SQLColumnExpression[Any]) -> ColumnElement[bool]:
    """An id of the study, or the beginning of the patient's name, of which `key` is the key."""
    text = text.strip()
    found: list[ColumnElement[bool]] = [
        Study.patient_id == text,
        Study.accession_number == text,
        Study.study_instance_uid == text,
    ]
    for beginning in sorted(_beginnings(text)):
        found.append(and_(key >= beginning, key < beginning + "\U0010ffff"))
    return or_(*found)


def _beginnings(text: str) -> set[str]:
    """What a name's key may begin with. `Curie, Marie` and `curie marie` are CURIE^MARIE in DICOM.

    SQLite lowers only the letters of ASCII, so others are looked for in upper and lower case.
    """
    spellings = {text, re.sub(r"\s*,\s*|\s+", "^", text)}
    cases = {case(each) for each in spellings for case in (str.lower, str.upper, str.title)}
    ascii_lower = {each: each + 32 for each in range(ord("A"), ord("Z") + 1)}
    lowered = {each.translate(ascii_lower) for each in cases}
    return lowered | {each.lower() for each in cases}


def _delivered(how: Delivered | None, destination: str | None) -> ColumnElement[bool]:
    """How far the results of the latest report have got: at one destination, or at any."""
    if how is None:
        return _latest(destination)
    if how is Delivered.NOT:
        return or_(_lacking(destination), Study.state == StudyState.FAILED)
    if how is Delivered.SENT:
        return and_(_latest(destination), ~_latest(destination, _undelivered()))
    if how is Delivered.COMMITTED:
        return _latest(destination, Delivery.state == DeliveryState.COMMITTED)
    return and_(_lacking(destination), _latest(destination, Delivery.state == DeliveryState(how)))


def _lacking(destination: str | None) -> ColumnElement[bool]:
    """Something of the latest report is not delivered.

    All that is undelivered is few and has an index; of that, what is of a latest report.
    """
    latest = aliased(Study)
    few = (
        select(Report.study_id)
        .join(Result, Result.report_id == Report.id)
        .join(Delivery, Delivery.result_id == Result.id)
        .join(latest, and_(latest.id == Report.study_id, latest.revision == Report.revision))
        .where(_undelivered())
    )
    if destination is not None:
        few = few.where(Delivery.destination == destination)
    return Study.id.in_(few)


def _latest(destination: str | None, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """A delivery of the latest report is like this."""
    found = exists().where(
        Report.study_id == Study.id,
        Report.revision == Study.revision,
        Result.report_id == Report.id,
        Delivery.result_id == Result.id,
        *conditions,
    )
    return found if destination is None else found.where(Delivery.destination == destination)


def _undelivered() -> ColumnElement[bool]:
    """As the index of it says: literally, since a planner must know that it may use it."""
    states = [DeliveryState.PENDING, DeliveryState.REJECTED]
    return Delivery.state.in_(
        bindparam("undelivered", states, expanding=True, literal_execute=True)
    )
