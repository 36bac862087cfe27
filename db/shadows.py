"""Reading in shadow: its tasks, what a second bundle said, and how it compares with the first.

What somebody asked a bundle about by hand is kept beside that, and compared with nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, select
from sqlalchemy.orm import Session

from db import queue
from db.agreement import cohens_kappa
from db.bundles import current, key_of
from db.models import Instance, ShadowReading, StoredReading
from db.states import BundleRole, InstanceState, TaskKind

FAILED = "failed"
"""Refusal code of a film that the bundle in shadow could not read in all attempts."""
_POSITIVE = "opacity"


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a bundle in shadow agrees with the active one, on the same readings of the same films.

    `both` films were read by both. Of these, `both_positive`, `active_only`, `shadow_only` and
    `both_negative` were found to have an opacity, each bundle at its own operating point.
    Differences are shadow less active, of the calibrated probability of pneumonia (0 to 1); None
    where no film was read by both. `shadow_refused` films were read by the active bundle alone,
    `shadow_failed` could not be read in shadow.
    """

    active: str
    shadow: str
    first: datetime
    last: datetime
    both: int
    both_positive: int
    active_only: int
    shadow_only: int
    both_negative: int
    mean_difference: float | None
    mean_absolute_difference: float | None
    largest_difference: float | None
    shadow_refused: int
    shadow_failed: int

    @property
    def agreement(self) -> float | None:
        """The part of the films that both found the same of, 0 to 1."""
        return (self.both_positive + self.both_negative) / self.both if self.both else None

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa (1960) of the two findings; None where chance alone explains them all."""
        return cohens_kappa(
            self.both_positive, self.active_only, self.shadow_only, self.both_negative
        )


@dataclass(frozen=True, slots=True)
class Refused:
    """Films that the active bundle's way refused: `both` refused them, or the shadow read them."""

    shadow: str
    both: int
    active_only: int


@dataclass(frozen=True, slots=True)
class Difference:
    """One film that the two bundles read, by our ids, and their probabilities of pneumonia."""

    study_id: int
    instance_id: int
    active: str
    shadow: str
    active_probability: float
    shadow_probability: float
    active_finding: str
    shadow_finding: str


def ask(session: Session, instance_ids: Sequence[int], *, now: datetime) -> None:
    """Have the bundle in shadow, if there is one, read images that the active one is done with."""
    if instance_ids and key_of(current(session, BundleRole.SHADOW)) is not None:
        queue.enqueue(session, TaskKind.SHADOW, instance_ids, now=now)


def any_due(session: Session, *, now: datetime) -> bool:
    """Tell whether a film may be read in shadow now: none may while one waits for its report."""
    return queue.any_ready(session, TaskKind.SHADOW, now=now) and not queue.any_ready(
        session, TaskKind.READ, now=now
    )


def files(session: Session, leases: Sequence[queue.Lease]) -> dict[int, tuple[str, str]]:
    """Return relative paths and digests of the images of shadow tasks, by instance id."""
    ids = [lease.subject_id for lease in leases]
    wanted = select(Instance.id, Instance.path, Instance.file_sha256).where(Instance.id.in_(ids))
    return {row.id: (row.path, row.file_sha256) for row in session.execute(wanted)}


def record(session: Session, lease: queue.Lease, row: ShadowReading, *, now: datetime) -> None:
    """Finish a shadow task with what the bundle said, beside the reading that counts now.

    Raises:
        queue.LeaseLostError: the task was taken over; roll back.
    """
    queue.finish(session, lease)
    row.instance_id = lease.subject_id
    row.reading_id = session.scalar(
        select(func.max(StoredReading.id))
        .join(Instance)
        .where(
            Instance.id == lease.subject_id,
            Instance.state.in_((InstanceState.READ, InstanceState.RECEIVED)),  # or read anew
        )
    )
    row.created_at = now
    session.add(row)


def record_asked(
    session: Session, instance_id: int, row: ShadowReading, *, by: str, now: datetime
) -> None:
    """Keep what a bundle said of an image that somebody asked it about, beside what counts."""
    row.instance_id = instance_id
    row.reading_id = session.scalar(
        select(func.max(StoredReading.id)).where(StoredReading.instance_id == instance_id)
    )
    row.asked_by = by
    row.created_at = now
    session.add(row)


def fail(session: Session, lease: queue.Lease, *, reason: str, now: datetime) -> None:
    """Finish a shadow task that failed in all attempts. The reading that counts stays as it is.

    Raises:
        queue.LeaseLostError: the task was taken over; roll back.
    """
    key = key_of(current(session, BundleRole.SHADOW))
    if key is None:
        queue.finish(session, lease)
        return
    row = ShadowReading(bundle=key.label, boxes=[], refusal_code=FAILED, reason=reason)
    record(session, lease, row, now=now)


def compare(
    session: Session, *, since: datetime | None = None, until: datetime | None = None
) -> list[Comparison]:
    """Compare every pair of bundles that read the same films, by when the shadow's was recorded."""
    read = ShadowReading.pneumonia.is_not(None)
    difference = ShadowReading.pneumonia - StoredReading.pneumonia
    active, shadow = StoredReading.finding == _POSITIVE, ShadowReading.finding == _POSITIVE
    query = (
        select(
            StoredReading.bundle,
            ShadowReading.bundle,
            func.min(ShadowReading.created_at),
            func.max(ShadowReading.created_at),
            _count(read),
            _count(and_(read, active, shadow)),
            _count(and_(read, active, ~shadow)),
            _count(and_(read, ~active, shadow)),
            _count(and_(read, ~active, ~shadow)),
            func.avg(difference),
            func.avg(func.abs(difference)),
            func.max(func.abs(difference)),
            _count(and_(~read, ShadowReading.refusal_code != FAILED)),
            _count(ShadowReading.refusal_code == FAILED),
        )
        .join(StoredReading, StoredReading.id == ShadowReading.reading_id)
        .where(*_within(since, until))
        .group_by(StoredReading.bundle, ShadowReading.bundle)
        .order_by(StoredReading.bundle, ShadowReading.bundle)
    )
    return [Comparison(*row) for row in session.execute(query)]


def refused(
    session: Session, *, since: datetime | None = None, until: datetime | None = None
) -> list[Refused]:
    """Count the films that have no reading by the active bundle, for each bundle in shadow."""
    read = ShadowReading.pneumonia.is_not(None)
    query = (
        select(ShadowReading.bundle, _count(~read), _count(read))
        .where(ShadowReading.reading_id.is_(None), *_within(since, until))
        .group_by(ShadowReading.bundle)
        .order_by(ShadowReading.bundle)
    )
    return [Refused(*row) for row in session.execute(query)]


def differences(
    session: Session,
    *,
    limit: int,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[Difference]:
    """List the films whose probabilities differ most, the largest difference first."""
    size = func.abs(ShadowReading.pneumonia - StoredReading.pneumonia)
    columns: tuple[Any, ...] = (
        Instance.study_id,
        Instance.id,
        StoredReading.bundle,
        ShadowReading.bundle,
        StoredReading.pneumonia,
        ShadowReading.pneumonia,
        StoredReading.finding,
        ShadowReading.finding,
    )
    query = (
        select(*columns)
        .join(StoredReading, StoredReading.id == ShadowReading.reading_id)
        .join(Instance, Instance.id == ShadowReading.instance_id)
        .where(ShadowReading.pneumonia.is_not(None), *_within(since, until))
        .order_by(size.desc(), Instance.id)
        .limit(limit)
    )
    return [Difference(*row) for row in session.execute(query)]


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def _within(since: datetime | None, until: datetime | None) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [ShadowReading.asked_by.is_(None)]
    if since is not None:
        conditions.append(ShadowReading.created_at >= since)
    if until is not None:
        conditions.append(ShadowReading.created_at < until)
    return conditions
