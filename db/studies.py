"""The moves of instances and studies: read, refused, quarantined, quiet, reported, failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import Select, exists, or_, select, update
from sqlalchemy.orm import Session, selectinload

from db import queue, shadows
from db.deliveries import plan
from db.events import record
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
from db.states import InstanceState, Priority, StudyState, Subject, TaskKind, TaskState

STOPPED = "stopped"
"""Of an event: a result that is not valid was made and goes nowhere; the reason says why."""


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


def record_readings(
    session: Session, readings: Sequence[tuple[queue.Lease, StoredReading]], *, now: datetime
) -> None:
    """Finish read tasks with readings, which are dated `now`; a bundle in shadow is asked too.

    Where a reading is urgent, the other images of its study are read first, and its report is made
    and delivered first.

    Raises:
        queue.LeaseLostError: a task was taken over; roll back.
    """
    queue.finish_all(session, [lease for lease, _ in readings])
    ids = [lease.subject_id for lease, _ in readings]
    _settle(session, ids, InstanceState.READ, now=now)
    for _, row in readings:
        row.created_at = now
        session.add(row)
    urgent = [row.instance_id for _, row in readings if row.urgent]
    if urgent:
        _expedite(session, urgent)
    shadows.ask(session, ids, now=now)


def record_refusal(
    session: Session, lease: queue.Lease, *, code: str, reason: str, now: datetime
) -> None:
    """Finish a read task whose image may not or cannot be read, for good; a shadow is asked too.

    Raises:
        queue.LeaseLostError: the task was taken over; roll back.
    """
    queue.finish(session, lease)
    _settle(session, [lease.subject_id], InstanceState.REFUSED, now=now, code=code, reason=reason)
    shadows.ask(session, [lease.subject_id], now=now)


def quarantine_image(session: Session, lease: queue.Lease, *, reason: str, now: datetime) -> None:
    """Set an image aside that could not be read in all attempts.

    Raises:
        queue.LeaseLostError: the task was taken over; roll back.
    """
    queue.quarantine(session, lease, error=reason)
    _settle(
        session,
        [lease.subject_id],
        InstanceState.QUARANTINED,
        now=now,
        code="undecodable",
        reason=reason,
    )


def close_quiet(session: Session, *, quiet_seconds: float, now: datetime) -> int:
    """Make a report task for every open study that is quiet and whose images are all settled."""
    due = session.execute(_quiet(quiet_seconds, now).limit(1000)).all()
    for rank, ids in queue.by_rank((each.id, each.priority) for each in due).items():
        # Not just enqueued: the quarantined task of an earlier, failed report goes.
        queue.renew(session, TaskKind.REPORT, ids, now=now, rank=rank)
    return len(due)


def has_quiet(session: Session, *, quiet_seconds: float, now: datetime) -> bool:
    """Tell whether `close_quiet` has anything to do, without taking a write lock."""
    return session.execute(_quiet(quiet_seconds, now).limit(1)).first() is not None


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
    _move(session, study, StudyState.FAILED, reason=reason, now=now)
    task_made_at = select(Task.created_at).where(Task.id == lease.task_id).scalar_subquery()
    further = exists().where(
        Instance.study_id == study.id,
        Instance.current,
        or_(Instance.state == InstanceState.RECEIVED, Instance.received_at > task_made_at),
    )
    if session.scalar(select(further)):
        _move(session, study, StudyState.OPEN, reason="a further image has come", now=now)


def read_again(
    session: Session, lease: queue.Lease, instance_ids: Sequence[int], *, reason: str, now: datetime
) -> None:
    """Put off a report until some of its images have been read anew.

    Raises:
        queue.LeaseLostError: the task was taken over; roll back.
    """
    queue.finish(session, lease)
    for instance_id in instance_ids:
        _reopen(session, session.get_one(Instance, instance_id), reason=reason, now=now)
    study = session.get_one(Study, lease.subject_id)
    rank = queue.Rank.of(study.priority)
    queue.enqueue(session, TaskKind.READ, instance_ids, now=now, rank=rank)


def retry(session: Session, study_id: int, *, now: datetime) -> int:
    """Try again what went wrong with a study; return how many things were put back to work.

    Quarantined and refused images are read anew (what is refused may have changed since), which
    makes a revision of a report that is out already; a failed report is made anew. Its deliveries
    are `db.deliveries.resend`'s.
    """
    study = session.get_one(Study, study_id, with_for_update=True)
    again = [
        instance
        for instance in study.instances
        if instance.current
        and (
            instance.state is InstanceState.QUARANTINED
            or (
                instance.state is InstanceState.REFUSED
                and instance.refusal_code != "altered_duplicate"
            )
        )
    ]
    for instance in again:
        _reopen(session, instance, reason="retried by hand", now=now)
    queue.renew(session, TaskKind.READ, [instance.id for instance in again], now=now)
    report_failed = study.state is StudyState.FAILED
    if again or report_failed:
        _move(session, study, StudyState.OPEN, reason="retried by hand", now=now)
    return len(again) + int(report_failed)


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


def _quiet(quiet_seconds: float, now: datetime) -> Select[int, Priority]:
    unsettled = exists().where(
        Instance.study_id == Study.id,
        Instance.state == InstanceState.RECEIVED,
    )
    tasked = exists().where(
        Task.kind == TaskKind.REPORT,
        Task.subject_id == Study.id,
        Task.state != TaskState.QUARANTINED,
    )
    return (
        select(Study.id, Study.priority)
        .where(
            Study.state == StudyState.OPEN,
            Study.last_received_at <= now - timedelta(seconds=quiet_seconds),
            ~unsettled,
            ~tasked,
        )
        .order_by(Study.last_received_at)
    )


def _move(session: Session, study: Study, state: StudyState, *, reason: str, now: datetime) -> None:
    study.state = state
    record(session, Subject.STUDY, study.id, state, study_id=study.id, at=now, reason=reason)


def _reopen(session: Session, instance: Instance, *, reason: str, now: datetime) -> None:
    instance.state = InstanceState.RECEIVED
    instance.refusal_code = instance.reason = instance.settled_at = None
    record(
        session,
        Subject.INSTANCE,
        instance.id,
        InstanceState.RECEIVED,
        study_id=instance.study_id,
        at=now,
        reason=reason,
    )


def _expedite(session: Session, instance_ids: Sequence[int]) -> None:
    studies = set(session.scalars(select(Instance.study_id).where(Instance.id.in_(instance_ids))))
    session.execute(
        update(Study)
        .where(Study.id.in_(studies))
        .values(priority=Priority.URGENT)
        .execution_options(synchronize_session="fetch")
    )
    others = select(Instance.id).where(
        Instance.study_id.in_(studies), Instance.state == InstanceState.RECEIVED
    )
    queue.expedite(session, TaskKind.READ, list(session.scalars(others)))


def _settle(
    session: Session,
    instance_ids: Sequence[int],
    state: InstanceState,
    *,
    now: datetime,
    code: str | None = None,
    reason: str | None = None,
) -> None:
    settled = session.execute(
        update(Instance)
        .where(Instance.id.in_(instance_ids))
        .values(state=state, refusal_code=code, reason=reason, settled_at=now)
        .returning(Instance.id, Instance.study_id)
        .execution_options(synchronize_session=False)
    )
    for instance_id, study_id in sorted((row.id, row.study_id) for row in settled):
        record(
            session,
            Subject.INSTANCE,
            instance_id,
            state,
            study_id=study_id,
            at=now,
            reason=reason,
        )
