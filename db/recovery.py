"""What a crash or the clock left behind: tasks of lost workers, times that lie too far ahead."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import CursorResult, update
from sqlalchemy.orm import Session

from db import queue, shadows
from db.images import quarantine_image
from db.models import Study, Task
from db.owners import is_gone
from db.reports import fail_report
from db.states import StudyState, TaskKind, TaskState

_LEASE_SECONDS = 30.0
_REASON = "The worker was lost {attempts} times while it had this task; it was set aside."


def return_lost(
    session: Session,
    *,
    owner: str,
    max_attempts: int,
    now: datetime,
    is_gone: Callable[[str], bool] = is_gone,
) -> int:
    """Return or quarantine the tasks of workers that were lost; return how many there were.

    Lost is whose lease has ended, and who `is_gone` for certain, however long its lease still is.
    What it had raises the fencing token as every lease does: should it live after all, it can
    record nothing.

    What a worker had is leased alone from then on, so that of many tasks only one that kills
    workers again and again is quarantined.
    """
    gone = [each for each in queue.owners(session) if is_gone(each)]
    leases = queue.take_lost(session, now=now, owner=owner, lease_seconds=_LEASE_SECONDS, gone=gone)
    for lease in leases:
        reason = _REASON.format(attempts=lease.attempts)
        if lease.kind is TaskKind.READ and lease.attempts >= max_attempts:
            quarantine_image(session, lease, reason=reason, now=now)
        elif lease.kind is TaskKind.REPORT and lease.attempts >= max_attempts:
            fail_report(session, lease, reason=reason, now=now)
        elif lease.kind is TaskKind.SHADOW and lease.attempts >= max_attempts:
            shadows.fail(session, lease, reason=reason, now=now)
        else:
            alone = lease.kind in (TaskKind.READ, TaskKind.REPORT)
            queue.retry_later(session, lease, at=now, error="its worker was lost", alone=alone)
    return len(leases)


def pull_back(session: Session, *, longest_wait: timedelta, now: datetime) -> int:
    """Make due at once what lies further ahead than anything may wait; return how much that was.

    Such times were written while the clock was ahead. Without this, a clock that is set back by a
    day would put reading, reporting and delivering off by a day.
    """
    horizon = now + longest_wait
    pulled = 0
    for statement in (
        update(Task)
        .where(Task.state == TaskState.READY, Task.not_before > horizon)
        .values(not_before=now),
        update(Task)
        .where(Task.state == TaskState.LEASED, Task.lease_until > horizon)
        .values(lease_until=now),
        update(Study)
        .where(Study.state == StudyState.OPEN, Study.last_received_at > horizon)
        .values(last_received_at=now),
    ):
        result = session.execute(statement.execution_options(synchronize_session=False))
        assert isinstance(result, CursorResult)
        pulled += result.rowcount
    return pulled
