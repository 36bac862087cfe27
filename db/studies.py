"""The moves of studies: quiet, and tried again. What a report does to one, see `db.reports`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Select, exists, select
from sqlalchemy.orm import Session

from db import images, queue
from db.events import STOPPED, record
from db.models import Event, Instance, Study, Task
from db.states import InstanceState, Priority, StudyState, Subject, TaskKind, TaskState


def close_quiet(session: Session, *, quiet_seconds: float, now: datetime) -> int:
    """Make a report task for every open study that is quiet and whose images are all settled."""
    # Locked, so that another scheduler leaves them alone: it could make a second task when the
    # first is done already.
    locked = _quiet(quiet_seconds, now).with_for_update(of=Study, skip_locked=True)
    due = session.execute(locked.limit(1000)).all()
    for rank, ids in queue.by_rank((each.id, each.priority) for each in due).items():
        # Not just enqueued: the quarantined task of an earlier, failed report goes.
        queue.renew(session, TaskKind.REPORT, ids, now=now, rank=rank)
    return len(due)


def has_quiet(session: Session, *, quiet_seconds: float, now: datetime) -> bool:
    """Tell whether `close_quiet` has anything to do, without taking a write lock."""
    return session.execute(_quiet(quiet_seconds, now).limit(1)).first() is not None


def retry(
    session: Session, study_id: int, *, now: datetime, reason: str = "retried by hand"
) -> int:
    """Try again what went wrong with a study; return how many things were put back to work.

    Quarantined and refused images are read anew (what is refused may have changed since), which
    makes a revision of a report that is out already; a report that failed, or that lacks what was
    stopped, is made anew. Its deliveries are `db.deliveries.resend`'s.
    """
    study = session.get_one(Study, study_id, with_for_update=True)
    again = [each for each in _readable(study) if each.state is not InstanceState.READ]
    _reopen(session, again, reason=reason, now=now)
    report_failed = study.state is StudyState.FAILED or _lacks_a_result(session, study)
    if again or report_failed:
        move(session, study, StudyState.OPEN, reason=reason, now=now)
    return len(again) + int(report_failed)


def read_anew(session: Session, study_id: int, *, reason: str, now: datetime) -> int:
    """Have all images of a study read by the bundle that is active now; return how many.

    That makes a further revision of its report, which goes to its destinations. A study that is
    still being worked on is left alone: 0.
    """
    study = session.get_one(Study, study_id, with_for_update=True)
    again = [] if study.state is StudyState.OPEN else _readable(study)
    if again:
        _reopen(session, again, reason=reason, now=now)
        move(session, study, StudyState.OPEN, reason=reason, now=now)
    return len(again)


def move(session: Session, study: Study, state: StudyState, *, reason: str, now: datetime) -> None:
    """Bring a study into a state, with the reason in its history."""
    study.state = state
    record(session, Subject.STUDY, study.id, state, study_id=study.id, at=now, reason=reason)


def _readable(study: Study) -> list[Instance]:
    """Return the images that stand for their SOP Instance UID and are settled, however."""
    return [
        each
        for each in study.instances
        if each.current
        and each.state is not InstanceState.RECEIVED
        and each.refusal_code != "altered_duplicate"
    ]


def _reopen(session: Session, instances: Sequence[Instance], *, reason: str, now: datetime) -> None:
    for instance in instances:
        images.reopen(session, instance, reason=reason, now=now)
    queue.renew(session, TaskKind.READ, [instance.id for instance in instances], now=now)


def _lacks_a_result(session: Session, study: Study) -> bool:
    """Whether something of the report that is out was stopped."""
    stopped = exists().where(
        Event.study_id == study.id, Event.state == STOPPED, Event.at == study.reported_at
    )
    return study.state is StudyState.REPORTED and bool(session.scalar(select(stopped)))


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
