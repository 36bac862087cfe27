"""An archive that is read anew: which studies are left to read, what is recorded, what changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from db import images, queue, shadows, studies
from db.models import Instance, Report, ShadowReading, StoredReading, Study
from db.states import InstanceState, StudyState, TaskKind

_LEASE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Archive:
    """The studies whose first image came in a time, and the model that reads them.

    `device_uid` names the model with its configuration, as reports do. In `shadow` its readings are
    kept beside those that count; else they take their place.
    """

    device_uid: str
    shadow: bool
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class FilmFile:
    """An image's path below the data folder, and the SHA-256 of its file."""

    path: str
    file_sha256: str


@dataclass(frozen=True, slots=True)
class StudyFilms:
    """A study that is left to read: its images by id, with their files."""

    study_id: int
    films: tuple[tuple[int, FilmFile], ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """What is recorded of an image that the model, or the way to it, refused."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Change:
    """So many films that were found to have `before`, and have `after` by the new model."""

    before: str
    after: str
    films: int


@dataclass(frozen=True, slots=True)
class Compared:
    """How a model's readings differ from those before, of the films that both have read.

    Differences are new less old, of the calibrated probability of pneumonia (0 to 1); None where
    there is no film. `refused` films were read before and are refused in shadow.
    """

    films: int
    changes: tuple[Change, ...]
    mean_difference: float | None
    mean_absolute_difference: float | None
    largest_difference: float | None
    refused: int


def left(session: Session, archive: Archive, *, after: int, limit: int) -> list[StudyFilms]:
    """List studies that are left to read, by id, the first of them above `after`.

    What this model has read already is left out, and so is a study that is being worked on.
    """
    ids = list(
        session.scalars(
            select(Study.id)
            .where(Study.id > after, *_within(archive), _is_left(archive))
            .order_by(Study.id)
            .limit(limit)
        )
    )
    rows = session.execute(_films(ids).order_by(Instance.study_id, Instance.id))
    films: dict[int, list[tuple[int, FilmFile]]] = {}
    for row in rows:
        films.setdefault(row.study_id, []).append((row.id, FilmFile(row.path, row.file_sha256)))
    return [StudyFilms(study_id, tuple(each)) for study_id, each in films.items()]


def count_left(session: Session, archive: Archive) -> int:
    """Count the studies that are left to read."""
    query = select(func.count()).select_from(Study).where(*_within(archive), _is_left(archive))
    return session.scalar(query) or 0


def record_shadow(
    session: Session, archive: Archive, rows: Mapping[int, ShadowReading], *, now: datetime
) -> int:
    """Keep readings in shadow by image; return how many.

    What is there already is left out, and so is an image that is gone.
    """
    there = set(session.scalars(select(Instance.id).where(Instance.id.in_(rows)).with_for_update()))
    known = select(ShadowReading.instance_id).where(
        ShadowReading.instance_id.in_(rows), *_by(archive)
    )
    kept = there - set(session.scalars(known))
    counts = dict(
        session.execute(
            select(StoredReading.instance_id, func.max(StoredReading.id))
            .join(Instance)
            .where(Instance.id.in_(kept), Instance.state == InstanceState.READ)
            .group_by(StoredReading.instance_id)
        ).all()
    )
    for instance_id in sorted(kept):
        row = rows[instance_id]
        row.instance_id, row.reading_id, row.created_at = instance_id, counts.get(instance_id), now
        session.add(row)
    return len(kept)


def record_anew(
    session: Session,
    study_id: int,
    outcomes: Mapping[int, StoredReading | Refused],
    *,
    owner: str,
    reason: str,
    now: datetime,
) -> bool:
    """Have a study's images read anew with these outcomes, by image, for a further revision.

    False where it is not as it was when they were read (another image has come, somebody works on
    it, it is erased): it is left alone, and may be read another time.
    """
    study = session.get(Study, study_id, with_for_update=True)
    if study is None or study.state is StudyState.OPEN:
        return False
    if {row.id for row in session.execute(_films([study_id]))} != set(outcomes):
        return False
    studies.read_anew(session, study_id, reason=reason, now=now)
    session.flush()
    leases = queue.take(
        session, TaskKind.READ, list(outcomes), owner=owner, now=now, lease_seconds=_LEASE_SECONDS
    )
    readings = []
    for lease in leases:
        outcome = outcomes[lease.subject_id]
        if isinstance(outcome, Refused):
            images.record_refusal(session, lease, code=outcome.code, reason=outcome.reason, now=now)
        else:
            readings.append((lease, outcome))
    if readings:
        images.record_readings(session, readings, now=now)
    return True


def compare(session: Session, archive: Archive) -> Compared:
    """Compare what the model says of the archive with what was said before."""
    before = aliased(StoredReading)
    new: Any = ShadowReading if archive.shadow else StoredReading
    both = _pairs(archive, before, new)
    difference = new.pneumonia - before.pneumonia
    figures = (
        func.count(),
        func.avg(difference),
        func.avg(func.abs(difference)),
        func.max(func.abs(difference)),
    )
    films, mean, size, largest = session.execute(both(select(*figures))).one()
    changes = session.execute(
        both(select(before.finding, new.finding, func.count()))
        .group_by(before.finding, new.finding)
        .order_by(before.finding, new.finding)
    )
    return Compared(
        films, tuple(Change(*row) for row in changes), mean, size, largest,
        _count_refused(session, archive),
    )  # fmt: skip


def differences(session: Session, archive: Archive, *, limit: int) -> list[shadows.Difference]:
    """List the films whose probabilities differ most, the largest difference first."""
    before = aliased(StoredReading)
    new: Any = ShadowReading if archive.shadow else StoredReading
    columns: tuple[Any, ...] = (
        Instance.study_id, Instance.id, before.bundle, new.bundle,
        before.pneumonia, new.pneumonia, before.finding, new.finding,
    )  # fmt: skip
    size = func.abs(new.pneumonia - before.pneumonia)
    query = _pairs(archive, before, new)(select(*columns))
    rows = session.execute(query.order_by(size.desc(), Instance.id).limit(limit))
    return [shadows.Difference(*row) for row in rows]


def _pairs(archive: Archive, before: Any, new: Any) -> Any:
    """Return what lets a query ask for the films that were read before and by the new model."""
    if archive.shadow:
        earlier: Any = new.reading_id
    else:
        other = aliased(StoredReading)
        earlier = (
            select(func.max(other.id))
            .where(
                other.instance_id == new.instance_id,
                other.id < new.id,
                other.device_uid != archive.device_uid,
            )
            .correlate(new)
            .scalar_subquery()
        )

    def both(query: Select[Any]) -> Select[Any]:
        asked = [new.asked_by.is_(None)] if archive.shadow else []
        return (
            query.select_from(new)
            .join(before, before.id == earlier)
            .join(Instance, Instance.id == new.instance_id)
            .join(Study, Study.id == Instance.study_id)
            .where(
                new.device_uid == archive.device_uid,
                new.pneumonia.is_not(None),
                *asked,
                *_within(archive),
            )
        )

    return both


def _count_refused(session: Session, archive: Archive) -> int:
    if not archive.shadow:
        return 0
    query = (
        select(func.count())
        .select_from(ShadowReading)
        .join(Instance, Instance.id == ShadowReading.instance_id)
        .join(Study, Study.id == Instance.study_id)
        .where(
            *_by(archive),
            ShadowReading.refusal_code.is_not(None),
            ShadowReading.reading_id.is_not(None),
            *_within(archive),
        )
    )
    return session.scalar(query) or 0


def _is_left(archive: Archive) -> ColumnElement[bool]:
    if not archive.shadow:
        reported = exists().where(
            Report.study_id == Study.id, Report.device_uid == archive.device_uid
        )
        return (Study.state != StudyState.OPEN) & ~reported & exists().where(*_of_study())
    known = exists().where(ShadowReading.instance_id == Instance.id, *_by(archive))
    return exists().where(*_of_study(), ~known)


def _of_study() -> tuple[ColumnElement[bool], ...]:
    return (Instance.study_id == Study.id, *_settled())


def _films(study_ids: Sequence[int]) -> Select[Any]:
    """Ask for the images of studies that `studies.read_anew` has read."""
    columns: tuple[Any, ...] = (
        Instance.id,
        Instance.study_id,
        Instance.path,
        Instance.file_sha256,
    )
    return select(*columns).where(Instance.study_id.in_(study_ids), *_settled())


def _settled() -> tuple[ColumnElement[bool], ...]:
    return (
        Instance.current.is_(True),
        Instance.state != InstanceState.RECEIVED,
        or_(Instance.refusal_code.is_(None), Instance.refusal_code != "altered_duplicate"),
    )


def _by(archive: Archive) -> tuple[ColumnElement[bool], ...]:
    return (ShadowReading.device_uid == archive.device_uid, ShadowReading.asked_by.is_(None))


def _within(archive: Archive) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if archive.since is not None:
        conditions.append(Study.created_at >= archive.since)
    if archive.until is not None:
        conditions.append(Study.created_at < archive.until)
    return conditions
