"""Questions to the history: lists of studies by any filter, and everything about one study."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session, selectinload

from db.models import Base, Delivery, Event, Instance, Report, Result, Study, Task
from db.states import DeliveryState, StudyState, TaskState
from settings.destinations.sink import SELF_TEST_AE


@dataclass(frozen=True, slots=True)
class Filter:
    """What to look for; a value that is None does not limit the list.

    `since` and `until` are about when the first image came, `study_date_from` and `study_date_to`
    about the study's own date (YYYYMMDD, both included). Patient ids and accession numbers are
    matched exactly. Films of the self-test are listed only where their source is asked for.
    """

    since: datetime | None = None
    until: datetime | None = None
    study_date_from: str | None = None
    study_date_to: str | None = None
    patient_id: str | None = None
    accession_number: str | None = None
    probability_min: float | None = None
    probability_max: float | None = None
    finding: str | None = None
    state: StudyState | None = None
    source_ae: str | None = None


@dataclass(frozen=True, slots=True)
class DeliveryCount:
    """How many objects of a study's latest report went to a destination, by state.

    Those that are committed are sent too.
    """

    destination: str
    sent: int
    pending: int
    rejected: int
    committed: int = 0


@dataclass(frozen=True, slots=True)
class Counts:
    """How much there is, and how much of it waits."""

    studies: int
    open_studies: int
    live_tasks: int
    quarantined_tasks: int
    pending_deliveries: int


def studies(
    session: Session, wanted: Filter, *, limit: int, before_id: int | None = None
) -> list[Study]:
    """List studies, newest first; `before_id` is the last id of the page before."""
    query = select(Study).order_by(Study.id.desc()).limit(limit)
    if wanted.source_ae is None:
        query = query.where(Study.source_ae != SELF_TEST_AE)
    if before_id is not None:
        query = query.where(Study.id < before_id)
    for value, column, compare in (
        (wanted.since, Study.created_at, operator.ge),
        (wanted.until, Study.created_at, operator.lt),
        (wanted.study_date_from, Study.study_date, operator.ge),
        (wanted.study_date_to, Study.study_date, operator.le),
        (wanted.patient_id, Study.patient_id, operator.eq),
        (wanted.accession_number, Study.accession_number, operator.eq),
        (wanted.probability_min, Study.probability, operator.ge),
        (wanted.probability_max, Study.probability, operator.le),
        (wanted.finding, Study.finding, operator.eq),
        (wanted.state, Study.state, operator.eq),
        (wanted.source_ae, Study.source_ae, operator.eq),
    ):
        if value is not None:
            query = query.where(compare(column, value))
    return list(session.scalars(query))


def find(session: Session, key: str) -> Study | None:
    """Find one study by our id, its Study Instance UID or its accession number (the latest)."""
    query = select(Study).order_by(Study.id.desc()).limit(1)
    by_key = or_(Study.study_instance_uid == key, Study.accession_number == key)
    if key.isdecimal() and len(key) < 19:
        found = session.get(Study, int(key))
        if found is not None:
            return found
    return session.scalar(
        query.where(by_key).options(
            selectinload(Study.instances).selectinload(Instance.readings),
            selectinload(Study.reports).selectinload(Report.results),
        )
    )


def timeline(session: Session, study_id: int) -> list[Event]:
    """List all events of a study in order."""
    return list(session.scalars(select(Event).where(Event.study_id == study_id).order_by(Event.id)))


def deliveries(session: Session, study_ids: Sequence[int]) -> dict[int, list[DeliveryCount]]:
    """Count the deliveries of the latest report of each study, per destination."""
    rows = session.execute(
        select(Study.id, Delivery.destination, Delivery.state, func.count())
        .join(Report, (Report.study_id == Study.id) & (Report.revision == Study.revision))
        .join(Result, Result.report_id == Report.id)
        .join(Delivery, Delivery.result_id == Result.id)
        .where(Study.id.in_(study_ids))
        .group_by(Study.id, Delivery.destination, Delivery.state)
    )
    found: dict[int, dict[str, dict[DeliveryState, int]]] = {}
    for study_id, destination, state, count in rows:
        found.setdefault(study_id, {}).setdefault(destination, {})[state] = count
    return {
        study_id: [
            DeliveryCount(
                destination,
                sent=by_state.get(DeliveryState.SENT, 0) + by_state.get(DeliveryState.COMMITTED, 0),
                pending=by_state.get(DeliveryState.PENDING, 0),
                rejected=by_state.get(DeliveryState.REJECTED, 0),
                committed=by_state.get(DeliveryState.COMMITTED, 0),
            )
            for destination, by_state in sorted(destinations.items())
        ]
        for study_id, destinations in found.items()
    }


def counts(session: Session) -> Counts:
    """Count studies, tasks and deliveries."""

    def count(condition: ColumnElement[bool] | None, table: type[Base]) -> int:
        query = select(func.count()).select_from(table)
        return session.scalar(query if condition is None else query.where(condition)) or 0

    return Counts(
        studies=count(None, Study),
        open_studies=count(Study.state == StudyState.OPEN, Study),
        live_tasks=count(Task.state != TaskState.QUARANTINED, Task),
        quarantined_tasks=count(Task.state == TaskState.QUARANTINED, Task),
        pending_deliveries=count(Delivery.state == DeliveryState.PENDING, Delivery),
    )
