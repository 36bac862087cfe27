"""Verdicts: what people say of readings, how bundles agree with it, and the films labelled by it.

A verdict changes nothing that was sent, and none is ever changed: whoever thinks better of a
reading gives another one, and both stay.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, and_, case, func, select
from sqlalchemy.orm import Session, selectinload

from db.agreement import cohens_kappa
from db.models import Instance, StoredReading, Study, Verdict

OPACITY, ABNORMAL, NORMAL = FINDINGS = ("opacity", "abnormal", "normal")
MOST_BOXES = 50
LONGEST_COMMENT = 4000
_EACH = ("x", "y", "width", "height")

GroupedBy = Literal["bundle", "source", "station"]


class VerdictError(Exception):
    """A verdict cannot be taken; the message says in one sentence why."""


@dataclass(frozen=True, slots=True)
class NewVerdict:
    """What a person says of the reading `reading_id`.

    `boxes` are the opacities as the person drew them (x, y, width, height in pixels of the stored
    image); None where those of the reading were left as they are.
    """

    reading_id: int
    finding: str
    boxes: tuple[tuple[float, float, float, float], ...] | None
    comment: str
    by: str


@dataclass(frozen=True, slots=True)
class Agreement:
    """How readings agree with the latest verdict of each person on each of them.

    `group` is the bundle, source or station that they are of. Of `verdicts`, `both_positive`,
    `bundle_only`, `reader_only` and `both_negative` tell who saw an opacity; `same_finding` are
    those with the very finding of the reading, `boxes_corrected` those that drew other boxes.
    """

    group: str
    verdicts: int
    both_positive: int
    bundle_only: int
    reader_only: int
    both_negative: int
    same_finding: int
    boxes_corrected: int

    @property
    def agreement(self) -> float:
        """The part of the verdicts with the same answer to "is there an opacity?", 0 to 1."""
        return (self.both_positive + self.both_negative) / self.verdicts

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa of that answer; None where chance alone explains it."""
        return cohens_kappa(
            self.both_positive, self.bundle_only, self.reader_only, self.both_negative
        )


@dataclass(frozen=True, slots=True)
class Labelled:
    """A film with what the latest verdict says of it.

    `boxes` are those that stand: drawn by the person, else those of the reading that the person
    saw an opacity in too.
    """

    instance_id: int
    path: str
    sop_instance_uid: str
    patient_id: str
    study_instance_uid: str
    finding: str
    boxes: tuple[tuple[float, float, float, float], ...]


def add(session: Session, new: NewVerdict, *, study_id: int, now: datetime) -> Verdict:
    """Record a verdict on a reading of a study.

    Raises:
        VerdictError: the study has no such reading, or what is said does not hold together.
    """
    of_study = select(StoredReading).join(Instance).where(Instance.study_id == study_id)
    reading = session.scalar(of_study.where(StoredReading.id == new.reading_id))
    if reading is None:
        raise VerdictError("The study has no such reading (any more).")
    row = Verdict(
        instance_id=reading.instance_id,
        reading_id=reading.id,
        finding=_finding(new.finding),
        boxes=_checked_boxes(new, reading),
        comment=_comment(new.comment),
        by=new.by,
        at=now,
    )
    session.add(row)
    session.flush()
    return row


def of_study(session: Session, study_id: int) -> list[Verdict]:
    """List the verdicts on a study's films, the latest last, each with its reading."""
    of_films = Verdict.instance_id.in_(select(Instance.id).where(Instance.study_id == study_id))
    query = select(Verdict).where(of_films).order_by(Verdict.id)
    return list(session.scalars(query.options(selectinload(Verdict.reading))))


def agreement(
    session: Session,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    by: GroupedBy = "bundle",
) -> list[Agreement]:
    """Compare readings with verdicts given in a period, the groups in order of their names."""
    latest = _latest(Verdict.reading_id, Verdict.by, since=since, until=until)
    group = {
        "bundle": StoredReading.bundle,
        "source": Study.source_ae,
        "station": Instance.station,
    }[by]
    read, seen = StoredReading.finding == OPACITY, Verdict.finding == OPACITY
    query = (
        select(
            group,
            func.count(),
            _count(and_(read, seen)),
            _count(and_(read, ~seen)),
            _count(and_(~read, seen)),
            _count(and_(~read, ~seen)),
            _count(StoredReading.finding == Verdict.finding),
            _count(Verdict.boxes.is_not(None)),
        )
        .select_from(Verdict)
        .join(StoredReading, StoredReading.id == Verdict.reading_id)
        .join(Instance, Instance.id == Verdict.instance_id)
        .join(Study, Study.id == Instance.study_id)
        .where(Verdict.id.in_(latest))
        .group_by(group)
        .order_by(group)
    )
    return [Agreement(*row) for row in session.execute(query)]


def labelled(
    session: Session, *, since: datetime | None = None, until: datetime | None = None
) -> Iterator[Labelled]:
    """Yield the films that verdicts given in a period speak of, each with the latest, by id."""
    query = (
        select(Verdict, StoredReading, Instance, Study)
        .join(StoredReading, StoredReading.id == Verdict.reading_id)
        .join(Instance, Instance.id == Verdict.instance_id)
        .join(Study, Study.id == Instance.study_id)
        .where(Verdict.id.in_(_latest(Verdict.instance_id, since=since, until=until)))
        .order_by(Instance.id)
    )
    for verdict, reading, instance, study in session.execute(query):
        boxes = verdict.boxes
        if boxes is None:
            boxes = reading.boxes if verdict.finding == OPACITY else []
        yield Labelled(
            instance_id=instance.id,
            path=instance.path,
            sop_instance_uid=instance.sop_instance_uid,
            patient_id=study.patient_id,
            study_instance_uid=study.study_instance_uid,
            finding=verdict.finding,
            boxes=tuple(_corners(box) for box in boxes),
        )


def _finding(said: str) -> str:
    if said not in FINDINGS:
        raise VerdictError(f"A verdict is one of {', '.join(FINDINGS)}.")
    return said


def _comment(said: str) -> str:
    if len(said) > LONGEST_COMMENT:
        raise VerdictError(f"A comment has at most {LONGEST_COMMENT} characters.")
    return said.strip()


def _checked_boxes(new: NewVerdict, reading: StoredReading) -> list[dict[str, float]] | None:
    """Return the boxes as they are kept, cut to the film; None where none were drawn."""
    if new.boxes is None:
        return None
    if new.boxes and new.finding != OPACITY:
        raise VerdictError("Boxes mark opacities: take them away, or choose opacity.")
    if len(new.boxes) > MOST_BOXES:
        raise VerdictError(f"A film has at most {MOST_BOXES} boxes.")
    return [_on_film(box, reading.columns, reading.rows) for box in new.boxes]


def _on_film(box: tuple[float, float, float, float], columns: int, rows: int) -> dict[str, float]:
    if not all(map(math.isfinite, box)):
        raise VerdictError("The corners of a box are numbers.")
    x, y, width, height = box
    x0, x1 = max(x, 0.0), min(x + width, float(columns))
    y0, y1 = max(y, 0.0), min(y + height, float(rows))
    if x1 - x0 < 1 or y1 - y0 < 1:
        raise VerdictError("A box has at least one pixel, and lies on the film.")
    return dict(zip(_EACH, (x0, y0, x1 - x0, y1 - y0), strict=True))


def _corners(box: dict[str, float]) -> tuple[float, float, float, float]:
    x, y, width, height = (box[name] for name in _EACH)
    return x, y, width, height


def _latest(*columns: Any, since: datetime | None, until: datetime | None) -> Select[int]:
    """Select the id of the latest verdict of each group of a period."""
    query = select(func.max(Verdict.id)).group_by(*columns)
    if since is not None:
        query = query.where(Verdict.at >= since)
    if until is not None:
        query = query.where(Verdict.at < until)
    return query


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)
