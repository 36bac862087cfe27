"""The rows of a period added up, hour by hour: what the tables of sums are made from.

Films of the self-test are of no hour, and what a bundle was asked by hand is no comparison.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, exists, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from db.models import (
    Delivery,
    Event,
    Instance,
    Report,
    ReportedInstance,
    Result,
    ShadowReading,
    StoredReading,
    Study,
)
from db.states import DeliveryState, InstanceState, Subject
from db.sums.periods import Length
from db.sums.tables import DELIVERIES, FILMS, READINGS, SHADOWS, STUDIES, SumTable, Values
from settings.destinations.sink import SELF_TEST_AE

POSITIVE = "opacity"
_FAILED = "failed"
_OURS = Instance.source_ae == SELF_TEST_AE

Hours = list[tuple[datetime, Values]]
"""Sums with the begin of their hour."""


def gather(session: Session, table: SumTable, since: datetime, until: datetime) -> Hours:
    """Add up what the rows say of the hours from `since` on until before `until`."""
    return _GATHER[table.model](session, since, until)


def _films(session: Session, since: datetime, until: datetime) -> Hours:
    groups = _Groups(FILMS)
    received = _select(
        Instance.received_at, Instance.source_ae, Instance.station, Instance.size
    ).where(_within(Instance.received_at, since, until), ~_OURS)
    for at, source, station, size in session.execute(received):
        sums = groups.at(at, source, station)
        sums["received"] += 1
        sums["bytes"] += size
    unread = (InstanceState.REFUSED, InstanceState.QUARANTINED)
    trouble = (
        _select(Event.at, Instance.source_ae, Instance.station, Event.state)
        .join(Instance, Instance.id == Event.subject_id)
        .where(
            _within(Event.at, since, until),
            _trouble(),
            Event.subject == Subject.INSTANCE,
            Event.state.in_([each.value for each in unread]),
            ~_OURS,
        )
    )
    for at, source, station, state in session.execute(trouble):
        groups.at(at, source, station)[state] += 1
    return groups.hours()


def _readings(session: Session, since: datetime, until: datetime) -> Hours:
    groups = _Groups(READINGS)
    earlier = aliased(StoredReading)
    again = exists().where(
        earlier.instance_id == StoredReading.instance_id, earlier.id < StoredReading.id
    )
    query = (
        _select(
            StoredReading.created_at,
            Instance.source_ae,
            Instance.station,
            StoredReading.bundle,
            StoredReading.finding,
            StoredReading.pneumonia,
            StoredReading.grey_mean,
            StoredReading.grey_spread,
            Instance.received_at,
            again,
        )
        .join(Instance, Instance.id == StoredReading.instance_id)
        .where(_within(StoredReading.created_at, since, until), ~_OURS)
    )
    for (
        at,
        source,
        station,
        bundle,
        finding,
        pneumonia,
        mean,
        spread,
        received,
        is_again,
    ) in session.execute(query):
        sums = groups.at(at, source, station, bundle)
        sums["readings"] += 1
        sums["positive"] += finding == POSITIVE
        sums["probability"].append(pneumonia)
        if not is_again:
            sums["wait"].append((at - received).total_seconds())
        if mean is not None and spread is not None:
            sums["measured"] += 1
            sums["grey_mean"] += mean
            sums["grey_mean_squares"] += mean * mean
            sums["grey_mean_histogram"].append(mean)
            sums["grey_spread"] += spread
            sums["grey_spread_squares"] += spread * spread
            sums["grey_spread_histogram"].append(spread)
    return groups.hours()


def _studies(session: Session, since: datetime, until: datetime) -> Hours:
    groups = _Groups(STUDIES)
    query = _select(
        Study.created_at, Study.source_ae, Study.bundle, Study.finding, Study.probability
    ).where(_within(Study.created_at, since, until), Study.source_ae != SELF_TEST_AE)
    for at, source, bundle, finding, probability in session.execute(query):
        sums = groups.at(at, source, bundle or "")
        sums["studies"] += 1
        sums["failed"] += finding == _FAILED
        if probability is not None:
            sums["positive" if finding == POSITIVE else "negative"].append(probability)
    return groups.hours()


def _deliveries(session: Session, since: datetime, until: datetime) -> Hours:
    groups = _Groups(DELIVERIES)
    last_film = (
        select(func.max(Instance.received_at))
        .join(ReportedInstance, ReportedInstance.instance_id == Instance.id)
        .where(ReportedInstance.report_id == Report.id)
        .correlate(Report)
        .scalar_subquery()
    )
    sent = (
        _select(Delivery.first_sent_at, Delivery.destination, last_film)
        .join(Result, Result.id == Delivery.result_id)
        .join(Report, Report.id == Result.report_id)
        .join(Study, Study.id == Report.study_id)
        .where(
            _within(Delivery.first_sent_at, since, until),
            Study.source_ae != SELF_TEST_AE,
        )
    )
    for at, destination, last in session.execute(sent):
        sums = groups.at(at, destination)
        sums["sent"] += 1
        if last is not None:
            sums["latency"].append((at - last).total_seconds())
    rejected = (
        _select(Event.at, Delivery.destination)
        .join(Delivery, Delivery.id == Event.subject_id)
        .join(Study, Study.id == Event.study_id)
        .where(
            _within(Event.at, since, until),
            _trouble(),
            Event.subject == Subject.DELIVERY,
            Event.state == DeliveryState.REJECTED.value,
            Study.source_ae != SELF_TEST_AE,
        )
    )
    for at, destination in session.execute(rejected):
        groups.at(at, destination)["rejected"] += 1
    return groups.hours()


def _shadows(session: Session, since: datetime, until: datetime) -> Hours:
    groups = _Groups(SHADOWS)
    query = (
        _select(
            ShadowReading.created_at,
            StoredReading.bundle,
            ShadowReading.bundle,
            StoredReading.finding,
            ShadowReading.finding,
            StoredReading.pneumonia,
            ShadowReading.pneumonia,
        )
        .join(StoredReading, StoredReading.id == ShadowReading.reading_id)
        .join(Instance, Instance.id == ShadowReading.instance_id)
        .where(
            _within(ShadowReading.created_at, since, until),
            ShadowReading.asked_by.is_(None),
            ~_OURS,
        )
    )
    for at, active, shadow, active_says, shadow_says, p_active, p_shadow in session.execute(query):
        sums = groups.at(at, active, shadow)
        if p_shadow is None:
            sums["not_read"] += 1
            continue
        sums[_BOTH[active_says == POSITIVE, shadow_says == POSITIVE]] += 1
        sums["difference"] += p_shadow - p_active
        sums["absolute_difference"] += abs(p_shadow - p_active)
    return groups.hours()


_BOTH = {
    (True, True): "both_positive",
    (True, False): "active_only",
    (False, True): "shadow_only",
    (False, False): "both_negative",
}
_GATHER: dict[Any, Callable[[Session, datetime, datetime], Hours]] = {
    FILMS.model: _films,
    READINGS.model: _readings,
    STUDIES.model: _studies,
    DELIVERIES.model: _deliveries,
    SHADOWS.model: _shadows,
}


class _Groups:
    """Sums in the making, one for each hour and what it is of; histograms are lists of values."""

    def __init__(self, table: SumTable) -> None:
        self._table = table
        self._made: dict[tuple[Any, ...], Values] = {}

    def at(self, moment: datetime, *key: str) -> Values:
        place = (Length.HOUR.floor(moment), *key)
        sums = self._made.get(place)
        if sums is None:
            sums = self._made[place] = {
                **dict.fromkeys(self._table.numbers, 0),
                **{name: [] for name in self._table.histograms},
            }
        return sums

    def hours(self) -> Hours:
        histograms, keys = self._table.histograms, self._table.keys
        return [
            (
                hour,
                {
                    **dict(zip(keys, key, strict=True)),
                    **sums,
                    **{name: bins.pack(sums[name]) for name, bins in histograms.items()},
                },
            )
            for (hour, *key), sums in self._made.items()
        ]


def _select(*columns: Any) -> Select[Any]:
    """Select more columns than SQLAlchemy's types tell apart."""
    return select(*columns)


def _within(
    column: InstrumentedAttribute[Any], since: datetime, until: datetime
) -> ColumnElement[bool]:
    return (column >= since) & (column < until)


def _trouble() -> ColumnElement[bool]:
    """The condition of the partial index on events, word by word, so that it is used."""
    states = ["refused", "quarantined", "rejected"]
    return Event.state.in_(bindparam("trouble", states, expanding=True, literal_execute=True))
