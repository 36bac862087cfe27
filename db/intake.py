"""A film that is safely on disk becomes a row, a task and an event, in one transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BindParameter, bindparam, insert, select, update
from sqlalchemy.orm import Session

from db import queue
from db.base import table_of
from db.dialects import insert_or_ignore
from db.events import event_of, record_all
from db.models import Instance, Study
from db.states import InstanceState, Priority, StudyState, Subject, TaskKind


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


_UNKNOWN = 0
"""The id of a row that is not written yet."""
_UNREAD = (InstanceState.REFUSED, InstanceState.QUARANTINED)
_REPLACES = "an altered copy takes the place of one that could not be read"
_ALTERED = (
    "Another image with the same SOP Instance UID and other content came first; "
    "this copy is kept and not analysed."
)


@dataclass(slots=True)
class _Copy:
    """What counts of an image's row, one that is held or one that is about to be."""

    id: int
    study_id: int
    sha256: str
    path: str
    state: InstanceState
    current: bool
    altered_from: int | None

    @property
    def outcome(self) -> Outcome:
        return Outcome.NEW if self.altered_from is None else Outcome.ALTERED


@dataclass(slots=True)
class _Study:
    """What counts of a study's row."""

    id: int
    state: StudyState
    priority: Priority


_study, _instance = table_of(Study), table_of(Instance)
_uids: BindParameter[str] = bindparam("uids", expanding=True)
_row: BindParameter[int] = bindparam("row")
# By way of mapped classes these would take 5 ms together, which was most of what a film cost.
_LOCK_STUDIES = (
    select(_study.c.study_instance_uid, _study.c.id, _study.c.state, _study.c.priority)
    .where(_study.c.study_instance_uid.in_(_uids))
    .order_by(_study.c.study_instance_uid)
    .with_for_update()
)
_COPIES = select(
    _instance.c.sop_instance_uid,
    _instance.c.id,
    _instance.c.study_id,
    _instance.c.sha256,
    _instance.c.path,
    _instance.c.state,
    _instance.c.current,
    _instance.c.altered_from,
).order_by(_instance.c.id)
_COPIES_OF = _COPIES.where(_instance.c.sop_instance_uid.in_(_uids))
_COPY_AT = _COPIES.where(_instance.c.path == bindparam("at"))
_ADD_INSTANCES = insert(_instance).returning(_instance.c.path, _instance.c.id)
_STAND_BACK = update(_instance).where(_instance.c.id == _row).values(current=False)
_COME_AGAIN = (
    update(_study)
    .where(_study.c.id == _row)
    .values(
        last_received_at=bindparam("received_at"),
        source_ae=bindparam("sender"),
        source_address=bindparam("sender_address"),
        state=StudyState.OPEN,
    )
)


def record_films(session: Session, films: Sequence[Film], now: datetime) -> list[Outcome]:
    """Record films that lie safely on disk; the same call again, by their paths, changes nothing.

    An altered copy is read only where no earlier copy could be: then it takes that one's place.
    A SOP Instance UID belongs to the study that it came with first; another study has it refused.
    """
    studies, made = _studies(session, films, now)
    # Only now, behind the studies' locks, does nobody else add copies of these films.
    held: dict[str, list[_Copy]] = {film.sop_instance_uid: [] for film in films}
    for uid, *copy in session.connection().execute(_COPIES_OF, {"uids": list(held)}):
        held[uid].append(_Copy(*copy))

    intake = _Recording(session, now)
    outcomes: list[Outcome] = []
    for film in films:
        study, earlier = studies[film.study_instance_uid], held[film.sop_instance_uid]
        same = next((copy for copy in earlier if copy.sha256 == film.sha256), None)
        if same is not None:
            outcomes.append(same.outcome if same.path == film.path else Outcome.DUPLICATE)
            continue
        outcomes.append(Outcome.ALTERED if earlier else Outcome.NEW)
        earlier.append(intake.add(film, study, earlier))
    intake.finish(studies, made)
    return outcomes


def recorded(session: Session, path: str) -> Outcome | None:
    """Tell what became of the film whose file has this path; None where there is no such row."""
    row = session.connection().execute(_COPY_AT, {"at": path}).first()
    return None if row is None else _Copy(*row[1:]).outcome


class _Recording:
    """The rows of films that are new, or altered copies."""

    def __init__(self, session: Session, now: datetime) -> None:
        self._session = session
        self._connection = session.connection()
        self._now = now
        self._waiting: list[tuple[Film, _Copy, dict[str, Any]]] = []
        self._added: list[tuple[Film, _Copy, str | None]] = []

    def add(self, film: Film, study: _Study, earlier: Sequence[_Copy]) -> _Copy:
        """Add a film beside earlier copies of it."""
        if any(copy.id == _UNKNOWN for copy in earlier):
            self._insert()  # the first copy has come just now: its id is needed
        current = next(
            (copy for copy in earlier if copy.current and copy.study_id == study.id), None
        )
        ours = not earlier or earlier[0].study_id == study.id
        replaces = ours and current is not None and current.state in _UNREAD
        refused = bool(earlier) and not replaces
        copy = _Copy(
            _UNKNOWN,
            study.id,
            film.sha256,
            film.path,
            InstanceState.REFUSED if refused else InstanceState.RECEIVED,
            current=replaces or current is None,
            altered_from=earlier[0].id if earlier else None,
        )
        if replaces and current is not None:
            current.current = False
            self._connection.execute(_STAND_BACK, {"row": current.id})
        values = {name: getattr(film, name) for name in _INSTANCE_FIELDS}
        values |= {
            "study_id": copy.study_id,
            "state": copy.state,
            "current": copy.current,
            "altered_from": copy.altered_from,
            "received_at": self._now,
            "refusal_code": "altered_duplicate" if refused else None,
            "reason": _ALTERED if refused else None,
            "settled_at": self._now if refused else None,
        }
        self._waiting.append((film, copy, values))
        self._added.append((film, copy, _ALTERED if refused else _REPLACES if replaces else None))
        return copy

    def finish(self, studies: Mapping[str, _Study], made: Mapping[str, Film]) -> None:
        """Write what waits, with the events, and the tasks to read the films.

        Args:
            studies: the films' studies, by UID.
            made: the film that each study which is new was made by.
        """
        self._insert()
        events = [
            event_of(Subject.STUDY, studies[uid].id, StudyState.OPEN, self._now) for uid in made
        ]
        for film, copy, reason in self._added:
            events.append(
                event_of(
                    Subject.INSTANCE, copy.id, copy.state, self._now, copy.study_id, reason=reason
                )
            )
            study = studies[film.study_instance_uid]
            if copy.current and made.get(film.study_instance_uid) is not film:
                events += self._reopen(study, film)
        record_all(self._session, events)
        to_read = queue.by_rank(
            (copy.id, studies[film.study_instance_uid].priority)
            for film, copy, _ in self._added
            if copy.state is InstanceState.RECEIVED
        )
        for rank, ids in to_read.items():
            queue.enqueue(self._session, TaskKind.READ, ids, now=self._now, rank=rank)

    def _insert(self) -> None:
        if not self._waiting:
            return
        rows = self._connection.execute(_ADD_INSTANCES, [values for *_, values in self._waiting])
        ids = {row.path: row.id for row in rows}
        for _, copy, _ in self._waiting:
            copy.id = ids[copy.path]
        self._waiting.clear()

    def _reopen(self, study: _Study, film: Film) -> list[dict[str, Any]]:
        """Note a study's latest film; return the event where it was not open."""
        self._connection.execute(
            _COME_AGAIN,
            {
                "row": study.id,
                "received_at": self._now,
                "sender": film.source_ae,
                "sender_address": film.source_address,
            },
        )
        if study.state is StudyState.OPEN:
            return []
        study.state = StudyState.OPEN
        again = "a further image has come"
        return [event_of(Subject.STUDY, study.id, StudyState.OPEN, self._now, reason=again)]


def _studies(
    session: Session, films: Sequence[Film], now: datetime
) -> tuple[dict[str, _Study], dict[str, Film]]:
    """Make the films' studies or find them, locked until the transaction ends.

    Returns the studies by UID, and by which film each of those was made that are new.

    In the order of their UIDs, so that two listeners never wait for each other's.
    """
    first = {film.study_instance_uid: film for film in reversed(films)}
    studies = _locked(session, first)
    values = [
        {
            **{name: getattr(first[uid], name) for name in _STUDY_FIELDS},
            "state": StudyState.OPEN,
            "revision": 0,
            "priority": Priority.ROUTINE,
            "created_at": now,
            "last_received_at": now,
        }
        for uid in sorted(first.keys() - studies.keys())
    ]
    if not values:
        return studies, {}
    add = insert_or_ignore(session, _study).returning(_study.c.study_instance_uid, _study.c.id)
    made = {
        uid: _Study(number, StudyState.OPEN, Priority.ROUTINE)
        for uid, number in session.connection().execute(add, values)
    }
    studies |= made
    if made_by_others := first.keys() - studies.keys():
        studies |= _locked(session, made_by_others)
    return studies, {uid: first[uid] for uid in made}


def _locked(session: Session, uids: Collection[str]) -> dict[str, _Study]:
    rows = session.connection().execute(_LOCK_STUDIES, {"uids": list(uids)})
    return {uid: _Study(*values) for uid, *values in rows}
