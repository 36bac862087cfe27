"""A film that is safely on disk becomes a row, a task and an event, in one transaction."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import queue
from db.dialects import insert_or_ignore
from db.events import record
from db.models import Instance, Study
from db.states import InstanceState, StudyState, Subject, TaskKind


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
    "station",
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


def record_films(session: Session, films: Sequence[Film], now: datetime) -> list[Outcome]:
    """Record films that lie safely on disk; the same call again, by their paths, changes nothing.

    An altered copy is read only where no earlier copy could be: then it takes that one's place.
    A SOP Instance UID belongs to the study that it came with first; another study has it refused.
    """
    studies, new = _studies(session, films, now)
    # Only now, behind the studies' locks, does nobody else add copies of these films.
    held: dict[str, list[Instance]] = {film.sop_instance_uid: [] for film in films}
    for copy in session.scalars(
        select(Instance).where(Instance.sop_instance_uid.in_(held)).order_by(Instance.id)
    ):
        held[copy.sop_instance_uid].append(copy)

    outcomes: list[Outcome] = []
    added: list[tuple[Film, Instance, str | None]] = []
    for film in films:
        study, earlier = studies[film.study_instance_uid], held[film.sop_instance_uid]
        same = next((copy for copy in earlier if copy.sha256 == film.sha256), None)
        if same is not None:
            outcomes.append(_outcome(same) if same.path == film.path else Outcome.DUPLICATE)
            continue
        if earlier:
            session.flush()  # the first copy may have come just now: its id is needed
        instance, replaces = _copy(film, study, earlier, now)
        session.add(instance)
        added.append((film, instance, instance.reason or (_REPLACES if replaces else None)))
        outcomes.append(Outcome.ALTERED if earlier else Outcome.NEW)
        earlier.append(instance)
    session.flush()

    for study in new:
        record(session, Subject.STUDY, study.id, StudyState.OPEN, study_id=study.id, at=now)
    for film, instance, reason in added:
        record(
            session,
            Subject.INSTANCE,
            instance.id,
            instance.state,
            study_id=instance.study_id,
            at=now,
            reason=reason,
        )
        if instance.current:
            _reopen(session, studies[film.study_instance_uid], film, now)
    to_read = queue.by_rank(
        (instance.id, studies[film.study_instance_uid].priority)
        for film, instance, _ in added
        if instance.state is InstanceState.RECEIVED
    )
    for rank, ids in to_read.items():
        queue.enqueue(session, TaskKind.READ, ids, now=now, rank=rank)
    return outcomes


def recorded(session: Session, path: str) -> Outcome | None:
    """Tell what became of the film whose file has this path; None where there is no such row."""
    copy = session.scalar(select(Instance).where(Instance.path == path))
    return None if copy is None else _outcome(copy)


def _outcome(copy: Instance) -> Outcome:
    return Outcome.NEW if copy.altered_from is None else Outcome.ALTERED


def _copy(
    film: Film, study: Study, earlier: Sequence[Instance], now: datetime
) -> tuple[Instance, bool]:
    """Make the row of a film beside earlier copies of it, and tell whether it replaces one."""
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
    return instance, replaces


def _studies(
    session: Session, films: Sequence[Film], now: datetime
) -> tuple[dict[str, Study], list[Study]]:
    """Make the films' studies or find them, locked until the transaction ends; and those made.

    In the order of their UIDs, so that two listeners never wait for each other's.
    """
    first = {film.study_instance_uid: film for film in reversed(films)}
    studies = _locked(session, first)
    values = [
        {
            **{name: getattr(first[uid], name) for name in _STUDY_FIELDS},
            "state": StudyState.OPEN,
            "revision": 0,
            "created_at": now,
            "last_received_at": now,
        }
        for uid in sorted(first.keys() - studies.keys())
    ]
    if not values:
        return studies, []
    new = list(session.scalars(insert_or_ignore(session, Study).returning(Study), values))
    studies |= {study.study_instance_uid: study for study in new}
    if made_by_others := first.keys() - studies.keys():
        studies |= _locked(session, made_by_others)
    return studies, new


def _locked(session: Session, uids: Collection[str]) -> dict[str, Study]:
    found = select(Study).where(Study.study_instance_uid.in_(uids))
    rows = session.scalars(found.order_by(Study.study_instance_uid).with_for_update())
    return {study.study_instance_uid: study for study in rows}


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
