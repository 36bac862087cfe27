"""Erasing one patient on request: what there is, and that nothing of it is left in the database.

`db.retention` deletes by age; here a person has asked, and what is unsent may go too.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, exists, func, or_, select, text
from sqlalchemy.orm import Session

from db import sqlite
from db.files import FileStore
from db.models import Delivery, Instance, Report, Result, Study, Task
from db.retention import files_of, forget, tasks_of
from db.session import Database
from db.states import DeliveryState, StudyState, TaskState
from db.sums import stale

REASON = "erased on request"


class BusyError(Exception):
    """A study is being worked on at this moment, or the database is, so that must wait."""


@dataclass(frozen=True, slots=True)
class Held:
    """What is held of a patient: ids of studies, and of those the ones that have not all been sent.

    `destinations` have got results. `birth_dates` is how many different ones the studies name:
    more than one may mean that two patients have the same ID from different issuers.
    """

    studies: tuple[int, ...]
    unsent: tuple[int, ...]
    films: int
    results: int
    bytes: int
    destinations: tuple[str, ...]
    birth_dates: int


def held(session: Session, patient_id: str, birth_date: str | None = None) -> Held:
    """Look up what is held under exactly this Patient ID, and birth date (DA) where it is given."""
    of_patient = select(Study.id).where(Study.patient_id == patient_id)
    if birth_date is not None:
        of_patient = of_patient.where(Study.patient_birth_date == birth_date)
    named = select(func.count(Study.patient_birth_date.distinct())).where(
        Study.id.in_(of_patient), Study.patient_birth_date != ""
    )
    films = select(func.count(), func.coalesce(func.sum(Instance.size), 0)).where(
        Instance.study_id.in_(of_patient)
    )
    results = (
        select(func.count(Result.id), func.coalesce(func.sum(Result.size), 0))
        .join(Report)
        .where(Report.study_id.in_(of_patient))
    )
    got = (
        select(Delivery.destination)
        .distinct()
        .join(Result)
        .join(Report)
        .where(Report.study_id.in_(of_patient), Delivery.sent_at.is_not(None))
    )
    film_count, film_bytes = session.execute(films).one()
    result_count, result_bytes = session.execute(results).one()
    return Held(
        tuple(session.scalars(of_patient.order_by(Study.id))),
        tuple(session.scalars(of_patient.where(_is_unsent()).order_by(Study.id))),
        film_count,
        result_count,
        int(film_bytes) + int(result_bytes),
        tuple(sorted(session.scalars(got))),
        session.scalar(named) or 0,
    )


def alike(session: Session, patient_ids: Sequence[str]) -> int:
    """Count studies under other Patient IDs that may be meant.

    Those differ in case, white space around, zeros in front, or in what follows a ^ (as where a
    device writes the issuer behind the ID).
    """
    bare = func.ltrim(func.lower(func.trim(Study.patient_id)), "0")
    meant = {each.strip().lower().split("^", 1)[0].lstrip("0") for each in patient_ids}
    is_alike = [
        condition
        for each in meant
        if each
        for condition in (bare == each, bare.startswith(f"{each}^", autoescape=True))
    ]
    if not is_alike:
        return 0
    query = select(func.count(Study.id)).where(or_(*is_alike), Study.patient_id.not_in(patient_ids))
    return session.scalar(query) or 0


def erase(database: Database, store: FileStore, study_id: int, *, now: datetime) -> None:
    """Delete a study's files and rows; one event without patient data stays.

    Raises:
        BusyError: a worker or a sender has it in hand.
        OSError: a file cannot be deleted; the rows stay.
    """
    with database.write() as session:
        if database.is_sqlite:
            session.execute(text("PRAGMA secure_delete = ON"))  # zeros in the place of rows
        session.execute(select(Study.id).where(Study.id == study_id).with_for_update())
        tasks = session.scalars(select(Task).where(tasks_of(study_id)).with_for_update())
        if any(task.state is TaskState.LEASED for task in tasks):
            raise BusyError
        for path in files_of(session, study_id):
            store.remove(path)
        stale.mark_study(session, study_id, now=now)
        forget(session, study_id, reason=REASON, now=now)


def scrub(database: Database) -> None:
    """Rewrite the tables, so that no byte of a deleted row is left in their files.

    Raises:
        BusyError: with SQLite, somebody wrote or read for so long that it could not be done.
    """
    if database.is_sqlite:
        # Beside SQLAlchemy, which begins a transaction: in one there is no VACUUM.
        with closing(database.engine.raw_connection()) as connection:
            try:
                connection.execute("VACUUM")
                # It says whether what was written lies in its log still, and so the old pages do.
                is_busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            except sqlite.driver.OperationalError as error:
                raise BusyError from error
        if is_busy:
            raise BusyError
        return
    alone = database.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    with alone as connection:
        connection.execute(text("VACUUM FULL"))


def _is_unsent() -> ColumnElement[bool]:
    """Not yet reported, or not yet sent to everybody who shall have it."""
    pending = exists().where(
        Report.study_id == Study.id,
        Result.report_id == Report.id,
        Delivery.result_id == Result.id,
        Delivery.state == DeliveryState.PENDING,
    )
    return or_(Study.state == StudyState.OPEN, pending)
