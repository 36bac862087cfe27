"""What reports are made from, and what becomes of them: recorded, failed, or put off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import exists, or_, select
from sqlalchemy.orm import Session, selectinload

from db import queue
from db.deliveries import plan
from db.events import STOPPED, record
from db.images import reopen
from db.models import (
    Delivery,
    Instance,
    Report,
    ReportedInstance,
    Result,
    StoredReading,
    Study,
    Task,
)
from db.states import InstanceState, Priority, StudyState, Subject, TaskKind
from db.studies import move
from db.sums import stale


@dataclass(frozen=True, slots=True)
class PriorReport:
    """The report that a new revision succeeds."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str


@dataclass(frozen=True, slots=True)
class Material:
    """All that a report of a study is made from: its current images in order of arrival.

    `told` names the destinations of earlier revisions.
    """

    study_id: int
    study_instance_uid: str
    source_ae: str
    source_address: str
    revision: int
    prior: PriorReport | None
    told: frozenset[str]
    images: tuple[tuple[Instance, StoredReading | None], ...]


@dataclass(frozen=True, slots=True)
class NewResult:
    """One encoded object that is safely on disk."""

    kind: str
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    path: str
    size: int
    file_sha256: str
    destinations: tuple[str, ...] | None = None
    """The only ones that it may go to; None: all whose profile asks for its kind."""


@dataclass(frozen=True, slots=True)
class NewReport:
    """What a report says, for the history, and the objects that it consists of.

    `stopped` tells which objects were not valid, and why: they are not among `results`.
    """

    bundle: str
    device_uid: str
    finding: str
    probability: float | None
    sentence: str
    recorded_at: datetime
    results: tuple[NewResult, ...]
    priority: Priority = Priority.ROUTINE
    stopped: tuple[str, ...] = ()

    @property
    def is_stopped(self) -> bool:
        """Whether the report itself was stopped, so that nobody is told what it says."""
        return bool(self.stopped) and not any(each.kind == "sr" for each in self.results)


@dataclass(frozen=True, slots=True)
class FinishedReport:
    """A report that was made under a lease, from what, and for whom.

    `profiles` maps each destination's name to the kinds of object that it gets.
    """

    lease: queue.Lease
    source: Material
    report: NewReport
    profiles: Mapping[str, Sequence[str]]


def material(session: Session, study_ids: Sequence[int]) -> dict[int, Material]:
    """Gather what the next revisions of some studies' reports are made from, by study."""
    found = session.scalars(
        select(Study)
        .where(Study.id.in_(study_ids))
        .options(selectinload(Study.instances).selectinload(Instance.readings))
    )
    return {study.id: _material(session, study) for study in found}


def record_reports(session: Session, finished: Sequence[FinishedReport], *, now: datetime) -> None:
    """Finish report tasks of different studies: reports, objects and deliveries, all or none.

    Raises:
        queue.LeaseLostError: a task was taken over; roll back.
    """
    queue.finish_all(session, [each.lease for each in finished])
    ids = [each.source.study_id for each in finished]
    found = session.scalars(
        select(Study).where(Study.id.in_(ids)).order_by(Study.id).with_for_update()
    )
    studies = {study.id: study for study in found}
    covered = [instance.id for each in finished for instance, _ in each.source.images]
    still_open = set(
        session.scalars(
            select(Instance.study_id).where(
                Instance.study_id.in_(ids), Instance.current, Instance.id.not_in(covered)
            )
        )
    )
    results = _add_reports(session, finished)
    plan(session, results, now=now)
    stale.mark(session, [study.created_at for study in studies.values()], now=now)
    for each in finished:
        study, report = studies[each.source.study_id], each.report
        study.revision = each.source.revision
        study.finding = report.finding
        study.probability = report.probability
        study.priority = report.priority
        study.sentence = report.sentence
        study.bundle = report.bundle
        study.reported_at = now
        done = StudyState.FAILED if report.is_stopped else StudyState.REPORTED
        study.state = StudyState.OPEN if study.id in still_open else done
        events = [
            *((STOPPED, reason) for reason in report.stopped),
            (done, f"revision {study.revision}: {report.sentence}"),
        ]
        for state, reason in events:
            record(
                session,
                Subject.STUDY,
                study.id,
                state,
                study_id=study.id,
                at=now,
                reason=reason,
            )


def fail_report(session: Session, lease: queue.Lease, *, reason: str, now: datetime) -> None:
    """Set a study aside whose report could not be made in all attempts.

    Where a further image has come meanwhile, the study stays open for a report with that image.

    Raises:
        queue.LeaseLostError: the task was taken over; roll back.
    """
    queue.quarantine(session, lease, error=reason)
    study = session.get_one(Study, lease.subject_id, with_for_update=True)
    move(session, study, StudyState.FAILED, reason=reason, now=now)
    task_made_at = select(Task.created_at).where(Task.id == lease.task_id).scalar_subquery()
    further = exists().where(
        Instance.study_id == study.id,
        Instance.current,
        or_(Instance.state == InstanceState.RECEIVED, Instance.received_at > task_made_at),
    )
    if session.scalar(select(further)):
        move(session, study, StudyState.OPEN, reason="a further image has come", now=now)


def read_again(
    session: Session, lease: queue.Lease, instance_ids: Sequence[int], *, reason: str, now: datetime
) -> None:
    """Put off a report until some of its images have been read anew.

    Raises:
        queue.LeaseLostError: the task was taken over; roll back.
    """
    queue.finish(session, lease)
    for instance_id in instance_ids:
        reopen(session, session.get_one(Instance, instance_id), reason=reason, now=now)
    study = session.get_one(Study, lease.subject_id)
    rank = queue.Rank.of(study.priority)
    queue.enqueue(session, TaskKind.READ, instance_ids, now=now, rank=rank)


def _add_reports(
    session: Session, finished: Sequence[FinishedReport]
) -> list[tuple[int, Result, Mapping[str, Sequence[str]]]]:
    """Add reports and their results, which then have ids; as `plan` takes them."""
    reports = [
        Report(
            study_id=each.source.study_id,
            revision=each.source.revision,
            bundle=each.report.bundle,
            device_uid=each.report.device_uid,
            finding=each.report.finding,
            probability=each.report.probability,
            sentence=each.report.sentence,
            priority=each.report.priority,
            recorded_at=each.report.recorded_at,
        )
        for each in finished
    ]
    session.add_all(reports)
    session.flush()
    results = []
    for report, each in zip(reports, finished, strict=True):
        session.add_all(
            ReportedInstance(report_id=report.id, instance_id=instance.id)
            for instance, _ in each.source.images
        )
        results += [
            (report.study_id, _result(report.id, new), _profiles_for(new, each.profiles))
            for new in each.report.results
        ]
    session.add_all(result for _, result, _ in results)
    session.flush()
    return results


def _result(report_id: int, new: NewResult) -> Result:
    kept = asdict(new)
    del kept["destinations"]
    return Result(report_id=report_id, **kept)


def _profiles_for(
    new: NewResult, profiles: Mapping[str, Sequence[str]]
) -> Mapping[str, Sequence[str]]:
    """Return the profiles of those that a result may go to."""
    if new.destinations is None:
        return profiles
    return {name: kinds for name, kinds in profiles.items() if name in new.destinations}


def _material(session: Session, study: Study) -> Material:
    images = []
    for instance in study.instances:
        if instance.current and instance.state is not InstanceState.RECEIVED:
            read = instance.state is InstanceState.READ
            images.append((instance, instance.readings[-1] if read else None))
    first = study.revision == 0
    return Material(
        study_id=study.id,
        study_instance_uid=study.study_instance_uid,
        source_ae=study.source_ae,
        source_address=study.source_address,
        revision=study.revision + 1,
        prior=None if first else _latest_report(session, study.id),
        told=frozenset() if first else _told(session, study.id),
        images=tuple(images),
    )


def _latest_report(session: Session, study_id: int) -> PriorReport | None:
    prior = session.scalar(
        select(Result)
        .join(Report)
        .where(Report.study_id == study_id, Result.kind == "sr")
        .order_by(Report.revision.desc())
        .limit(1)
    )
    if prior is None:
        return None
    return PriorReport(prior.sop_class_uid, prior.sop_instance_uid, prior.series_instance_uid)


def _told(session: Session, study_id: int) -> frozenset[str]:
    return frozenset(
        session.scalars(
            select(Delivery.destination)
            .join(Result)
            .join(Report)
            .where(Report.study_id == study_id)
            .distinct()
        )
    )
