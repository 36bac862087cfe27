"""What a worker made and has not recorded yet, and what became of a child process's work."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from prometheus_client import Counter
from sqlalchemy.orm import Session

import metrics
from db import images, queue
from db.files import AwayError
from db.models import StoredReading
from db.reports import FinishedReport, fail_report, record_reports
from db.states import TaskKind
from inference.isolation import ChildFailedError
from inference.reading import Refusal
from inference.report.build import ReportError

_log = logging.getLogger(__name__)

T = TypeVar("T")

_RETRY = queue.Backoff(first=1.0, longest=60.0)
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
"""What a disk says that takes nothing at the moment, whatever is written."""
_ROOM_WAIT = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a child process did not make what it should, in a few words without patient data.

    `counts` tells whether it was an attempt: a disk without room, or an object store that is away,
    is not the film's or the study's fault, and is waited for, however long that takes.
    """

    reason: str
    counts: bool = True


@dataclass(frozen=True, slots=True)
class Record:
    """What is to be recorded, at which time, and what then counts one more, if anything."""

    write: Callable[[Session, datetime], None]
    counts: Counter | None = None


@dataclass(slots=True)
class Outcomes:
    """What a turn made, to be recorded in one transaction: the frequent outcomes by kind."""

    readings: list[tuple[queue.Lease, StoredReading]] = field(default_factory=list)
    reports: list[FinishedReport] = field(default_factory=list)
    others: list[tuple[queue.Lease, Record]] = field(default_factory=list)
    are_failures: bool = False
    """Whether they stand for outcomes that the database did not take."""

    def leases(self) -> list[queue.Lease]:
        """List the leases that the outcomes were made under."""
        return [
            *(lease for lease, _ in self.readings),
            *(each.lease for each in self.reports),
            *(lease for lease, _ in self.others),
        ]

    def only(self, task_ids: set[int]) -> Outcomes:
        """Return the outcomes of these tasks."""
        return Outcomes(
            [each for each in self.readings if each[0].task_id in task_ids],
            [each for each in self.reports if each.lease.task_id in task_ids],
            [each for each in self.others if each[0].task_id in task_ids],
        )

    def apart(self, error: str, *, max_attempts: int) -> list[Outcomes]:
        """Return what the database did not take in parts that it may take.

        Several outcomes come one by one, so that each is recorded without the others; a single one
        comes as the failure that it is.
        """
        leases = self.leases()
        if len(leases) > 1:
            return [self.only({lease.task_id}) for lease in leases]
        _log.error("The database does not take an outcome (%s).", error)
        if self.are_failures:
            return []  # its lease ends by itself, as if its worker had died
        failure = Failure(f"The database does not take what became of it ({error}).")
        return [
            Outcomes(
                others=[
                    (lease, _not[lease.kind](lease, failure, last=lease.attempts >= max_attempts))
                    for lease in leases
                ],
                are_failures=True,
            )
        ]

    def record(self, session: Session, now: datetime) -> None:
        """Record everything.

        Raises:
            queue.LeaseLostError: a task was taken over; roll back.
        """
        if self.readings:
            images.record_readings(session, self.readings, now=now)
        if self.reports:
            record_reports(session, self.reports, now=now)
        for _, record in self.others:
            record.write(session, now)
        session.flush()

    def measure(self, now: datetime) -> None:
        """Count and log what was recorded, at which time."""
        for lease, _ in self.readings:
            ids = {"film": lease.subject_id, "task": lease.task_id}
            _log.debug("A film was read.", extra=ids)
            metrics.READINGS.labels("read").inc()
            metrics.READ_SECONDS.observe((now - lease.created_at).total_seconds())
        for each in self.reports:
            said = "failed" if each.report.is_stopped else each.report.finding
            metrics.REPORTS.labels(said).inc()
            ids = {"study": each.source.study_id, "task": each.lease.task_id}
            _log.debug("A report was made.", extra=ids)
        for _, record in self.others:
            if record.counts is not None:
                record.counts.inc()


def refused(lease: queue.Lease, refusal: Refusal) -> Record:
    """Have it recorded that an image may not or cannot be read."""
    ids = {"film": lease.subject_id, "task": lease.task_id}
    _log.info("A film is not analysed (%s).", refusal.code.value, extra=ids)

    def write(session: Session, now: datetime) -> None:
        code = refusal.code.value
        images.record_refusal(session, lease, code=code, reason=refusal.reason, now=now)

    return Record(write, metrics.READINGS.labels("refused"))


def not_read(lease: queue.Lease, failure: Failure, *, last: bool) -> Record:
    """Have an image that could not be read tried again later; after the last time, set aside."""
    final = last and failure.counts
    level, what = (
        (logging.ERROR, "A film is set aside") if final else (logging.WARNING, "A film waits")
    )
    ids = {"film": lease.subject_id, "task": lease.task_id}
    _log.log(level, "%s: %s", what, failure.reason, extra=ids)

    def write(session: Session, now: datetime) -> None:
        if final:
            images.quarantine_image(session, lease, reason=failure.reason, now=now)
        else:
            _try_again(session, lease, failure, now)

    return Record(write, metrics.READINGS.labels("quarantined") if final else None)


def not_reported(lease: queue.Lease, failure: Failure, *, last: bool) -> Record:
    """Have a report that could not be made tried again later; after the last time, fail it."""
    final = last and failure.counts
    ids = {"study": lease.subject_id, "task": lease.task_id}
    _log.error("A report could not be made: %s", failure.reason, extra=ids)

    def write(session: Session, now: datetime) -> None:
        if final:
            fail_report(session, lease, reason=failure.reason, now=now)
        else:
            _try_again(session, lease, failure, now)

    return Record(write, metrics.REPORTS.labels("failed") if final else None)


_not = {TaskKind.READ: not_read, TaskKind.REPORT: not_reported}


def _try_again(session: Session, lease: queue.Lease, failure: Failure, now: datetime) -> None:
    wait = _RETRY.delay(lease.attempts) if failure.counts else _ROOM_WAIT
    queue.retry_later(session, lease, at=now + wait, error=failure.reason, counts=failure.counts)


def outcome_of(future: Future[T]) -> T | Failure:
    """Return what a child process made, or why it could not.

    One film or study must never stop the others, whatever is wrong with it. The text of an
    unforeseen error may hold patient data, so only its kind is told.
    """
    try:
        return future.result()
    except (ChildFailedError, ReportError) as error:
        return Failure(str(error))
    except AwayError as error:
        return Failure(str(error), counts=False)
    except OSError as error:
        reason = f"a file could not be read or written: {error.strerror}"
        return Failure(reason, counts=error.errno not in _NO_ROOM)
    except Exception as error:
        return Failure(f"an unforeseen error of the kind {type(error).__name__}")
