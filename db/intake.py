"""A film that is safely on disk becomes a row, a task and an event, in one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import queue
from db.dialects import insert_or_ignore
from db.events import record
from db.models import Instance, InstanceState, Study, StudyState, Subject, TaskKind


class Outcome(StrEnum):
    """What became of a film that a peer sent."""

    NEW = "new"
    DUPLICATE = "duplicate"
    """The very same bytes are held already: nothing new to do."""
    ALTERED = "altered"
    """Other bytes under a SOP Instance UID that is held already: kept and flagged."""


@dataclass(frozen=True, slots=True)
class Film:
    """A received image: what its header says, where its file lies and who sent it."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    patient_id: str
    patient_name: str
    patient_birth_date: str
    patient_sex: str
    accession_number: str
    study_date: str
    study_description: str
    modality: str
    station: str
    path: str
    size: int
    sha256: str
    file_sha256: str
    source_ae: str
    called_ae: str
    source_address: str


_STUDY_FIELDS = (
    "study_instance_uid",
    "patient_id",
    "patient_name",
    "patient_birth_date",
    "patient_sex",
    "accession_number",
    "study_date",
    "study_description",
    "source_ae",
    "source_address",
)
_INSTANCE_FIELDS = (
    "series_instance_uid",
    "sop_instance_uid",
    "sop_class_uid",
    "transfer_syntax_uid",
    "modality",
    "station",
    "path",
    "size",
    "sha256",
    "file_sha256",
    "source_ae",
    "called_ae",
    "source_address",
)


_UNREAD = (InstanceState.REFUSED, InstanceState.QUARANTINED)
_REPLACES = "an altered copy takes the place of one that could not be read"
_ALTERED = (
    "Another image with the same SOP Instance UID and other content came first; "
    "this copy is kept and not analysed."
)


def record_film(session: Session, film: Film, now: datetime) -> Outcome:
    """Record a film that lies safely on disk; the same call again, by its path, changes nothing.

    An altered copy is read only where no earlier copy could be: then it takes that one's place.
    A SOP Instance UID belongs to the study that it came with first; another study has it refused.
    """
    study, is_new = _study(session, film, now)
    # Only now, behind the study's lock, does nobody else add copies of this film.
    earlier = list(
        session.scalars(
            select(Instance)
            .where(Instance.sop_instance_uid == film.sop_instance_uid)
            .order_by(Instance.id)
        )
    )
    same = next((copy for copy in earlier if copy.sha256 == film.sha256), None)
    if same is not None:
        return _outcome(same) if same.path == film.path else Outcome.DUPLICATE

    current = next((copy for copy in earlier if copy.current and copy.study_id == study.id), None)
    ours = not earlier or earlier[0].study_id == study.id
    replaces = ours and current is not None and current.state in _UNREAD
    instance = Instance(
        **{name: getattr(film, name) for name in _INSTANCE_FIELDS},
        study_id=study.id,
        state=InstanceState.RECEIVED,
        current=replaces or current is None,
        altered_from=earlier[0].id if earlier else None,
        received_at=now,
    )
    if earlier and not replaces:
        instance.state = InstanceState.REFUSED
        instance.refusal_code = "altered_duplicate"
        instance.reason = _ALTERED
        instance.settled_at = now
    elif current is not None:
        current.current = False
    session.add(instance)
    session.flush()

    if is_new:
        record(session, Subject.STUDY, study.id, StudyState.OPEN, study_id=study.id, at=now)
    record(
        session,
        Subject.INSTANCE,
        instance.id,
        instance.state,
        study_id=study.id,
        at=now,
        reason=instance.reason or (_REPLACES if replaces else None),
    )
    if instance.state is InstanceState.RECEIVED:
        queue.enqueue(session, TaskKind.READ, [instance.id], now=now)
    if instance.current:
        _reopen(session, study, film, now)
    return Outcome.ALTERED if earlier else Outcome.NEW


def recorded(session: Session, path: str) -> Outcome | None:
    """Tell what became of the film whose file has this path; None where there is no such row."""
    copy = session.scalar(select(Instance).where(Instance.path == path))
    return None if copy is None else _outcome(copy)


def _outcome(copy: Instance) -> Outcome:
    return Outcome.NEW if copy.altered_from is None else Outcome.ALTERED


def _study(session: Session, film: Film, now: datetime) -> tuple[Study, bool]:
    """Make the study or find it, locked until the transaction ends; and whether it was made."""
    values = {name: getattr(film, name) for name in _STUDY_FIELDS}
    made = session.scalar(
        insert_or_ignore(session, Study)
        .values(**values, state=StudyState.OPEN, revision=0, created_at=now, last_received_at=now)
        .returning(Study)
    )
    if made is not None:
        return made, True
    found = select(Study).where(Study.study_instance_uid == film.study_instance_uid)
    return session.scalars(found.with_for_update()).one(), False


def _reopen(session: Session, study: Study, film: Film, now: datetime) -> None:
    study.last_received_at = now
    study.source_ae = film.source_ae
    study.source_address = film.source_address
    if study.state is not StudyState.OPEN:
        study.state = StudyState.OPEN
        record(
            session,
            Subject.STUDY,
            study.id,
            StudyState.OPEN,
            study_id=study.id,
            at=now,
            reason="a further image has come",
        )
