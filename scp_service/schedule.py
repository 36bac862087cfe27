"""Jobs that happen by the clock: quiet studies, lost leases, sums, retention, digests, archives.

Where several machines run them, most jobs run on each, and take turns row by row. What would be
done twice (archives that are polled, the self-test, the check of files, backups) is done by the
leader.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial

from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from audit import Trail
from db import retention
from db.alarms import Condition
from db.backup import BackupError, is_due
from db.events import record
from db.files import AwayError, FileStore
from db.leader import Leader
from db.models import Instance, Report, Result, Study
from db.recovery import pull_back, return_lost
from db.session import Database
from db.states import AlarmKind, Subject
from db.studies import close_quiet, has_quiet
from scp_service.alarms.watch import Watch
from scp_service.audited import study_expired, subjects
from scp_service.self_test import Film, SelfTest
from settings import Archive, Settings

_log = logging.getLogger(__name__)

_CLOSE_SECONDS = 0.5
_EXPIRED_SECONDS = 5
_WATCH_SECONDS = 15
_LEAD_SECONDS = 15
_BACKUP_MINUTES = 10
"""How often the scheduler looks whether the backup of the day is made."""
_SUM_SECONDS = 60
_STALE_SECONDS = 3600.0
_LONGEST_WAIT_SECONDS = 60.0
"""Longest lease of a delivery, and longest wait after a failed reading or report."""


class Jobs:
    """The jobs, each of which may also be called by hand."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        store: FileStore,
        owner: str,
        golden_film: Callable[[], Film] | None = None,
    ) -> None:
        self._settings = settings
        self._database = database
        self._store = store
        self._owner = owner
        self._watch = Watch(settings, database, store)
        self.leader = Leader(database, store.root)
        self._golden_film = golden_film

    def close_quiet_studies(self) -> None:
        """Have every study reported that has been quiet long enough."""
        quiet = self._settings.study_quiet_seconds
        with self._database.read() as session:
            now = self._database.now(session)
            if not has_quiet(session, quiet_seconds=quiet, now=now):
                return
        with self._database.write() as session:
            close_quiet(session, quiet_seconds=quiet, now=self._database.now(session))

    def return_lost_tasks(self) -> None:
        """Give the tasks of lost workers to others, and make up for a clock that was set back."""
        longest = max(
            self._settings.delivery.backoff_max_seconds,
            self._settings.worker.lease_seconds,
            _LONGEST_WAIT_SECONDS,
        )
        with self._database.write() as session:
            pulled = pull_back(
                session,
                longest_wait=timedelta(seconds=longest + _LONGEST_WAIT_SECONDS),
                now=self._database.now(session),
            )
            returned = return_lost(
                session,
                owner=self._owner,
                max_attempts=self._settings.worker.max_attempts,
                now=self._database.now(session),
            )
        if pulled:
            _log.warning("The clock was set back: %d waiting things are due at once.", pulled)
        if returned:
            _log.warning("%d tasks of lost workers were taken back.", returned)

    def delete_expired_studies(self) -> None:
        """Delete studies after their retention time: files first, so that none is left behind."""
        days = self._settings.retention.days
        if days == 0:
            return
        with self._database.read() as session:
            before = self._database.now(session) - timedelta(days=days)
            studies = retention.expired(session, before=before)
        reason, deleted = f"retention: older than {days} days", 0
        with closing(Trail(self._settings)) as trail:
            for study_id in studies:
                with self._database.write() as session:
                    if not retention.still_expired(session, study_id, before=before):
                        continue
                    whose = subjects(session, [study_id])[study_id]
                    for path in retention.files_of(session, study_id):
                        self._store.remove(path)
                    now = self._database.now(session)
                    retention.forget(session, study_id, reason=reason, now=now)
                study_expired(trail, whose, reason)
                deleted += 1
        if deleted:
            _log.info("%d studies were deleted after %d days.", deleted, days)

    def poll(self, archive: Archive, stop: threading.Event) -> None:
        """Fetch what is new in an archive; ends early when `stop` is set."""
        # Only here, since most sites have their archive push, and the libraries take memory.
        from scp_service.archives.polling import poll

        now = datetime.now().astimezone()
        poll(archive, self._settings, self._database, self._store, stop, now)

    def watch(self) -> None:
        """Raise and clear alarms, and tell what is to be told of them."""
        self._watch.look()
        self._watch.tell()

    def test_self(self, stop: threading.Event) -> None:
        """Send a film of our own the whole way; an alarm stands until it comes out as it should."""
        assert self._golden_film is not None
        test = SelfTest(self._settings, self._database, self._store, self._golden_film)
        verdict = test.run(stop)
        if verdict.judged:
            problem = verdict.problem
            sentence = f"The self-test failed: {problem}."
            found = [Condition(AlarmKind.SELF_TEST, sentence)] if problem else []
            self._watch.set(found, [AlarmKind.SELF_TEST])

    def back_up(self) -> None:
        """Make the backup of the day, if it is not made; an alarm stands until one is whole."""
        from scp_service.backups import back_up, folder_of, incomplete

        with self._database.read() as session:
            now = self._database.now(session)
        problem: str | None
        try:
            if not is_due(folder_of(self._settings), self._settings.backup.hour, now):
                return
            made = back_up(self._settings, self._database, self._store, by=self._owner, now=now)
            problem = incomplete(made.packed)
            _log.info(
                "%d rows and %d files were backed up; %d old backups were deleted.",
                made.packed.rows,
                made.packed.files,
                made.deleted,
            )
        except BackupError as error:
            problem = str(error)
        except OSError as error:
            problem = f"the folder cannot be used ({error.strerror})"
        if problem:
            _log.error("The backup failed: %s.", problem)
        found = [Condition(AlarmKind.BACKUP, f"The backup failed: {problem}.")] if problem else []
        self._watch.set(found, [AlarmKind.BACKUP])

    def tidy(self) -> None:
        """Delete what killed workers left half written an hour ago or earlier."""
        removed = self._store.remove_stale_partials(before=time.time() - _STALE_SECONDS)
        if removed:
            _log.info("%d half written results of killed workers were removed.", removed)

    def sum_up(self, stop: threading.Event) -> None:
        """Sum up the hours that are over; ends early when `stop` is set."""
        # Only here: numpy is of use to nothing else in this process until there is a console.
        from db.sums import keep

        while keep.advance(self._database) and not stop.is_set():
            pass

    def check_files(self) -> int:
        """Compare every stored file with its recorded digest; return how many do not fit."""
        with self._database.read() as session:
            films = list(
                session.execute(select(Instance.path, Instance.file_sha256, Instance.study_id))
            )
            results = list(
                session.execute(
                    select(Result.path, Result.file_sha256, Report.study_id).join(Report)
                )
            )
        damaged = [row for row in [*films, *results] if self._store.digest(row[0]) != row[1]]
        if damaged:
            with self._database.write() as session:
                now = self._database.now(session)
                # A study that was deleted meanwhile misses nothing.
                ids = {study_id for *_, study_id in damaged}
                kept = set(session.scalars(select(Study.id).where(Study.id.in_(ids))))
                damaged = [row for row in damaged if row[2] in kept]
                for path, _, study_id in damaged:
                    record(
                        session,
                        Subject.STUDY,
                        study_id,
                        "damaged",
                        study_id=study_id,
                        at=now,
                        reason=f"the file {path} is missing or differs from its digest",
                    )
        if damaged:
            _log.error("%d stored files are missing or differ from their digests.", len(damaged))
        return len(damaged)


def run_jobs(jobs: Jobs, settings: Settings, stop: threading.Event) -> None:
    """Run all jobs by the clock until `stop` is set."""
    scheduler = BackgroundScheduler(
        timezone=UTC, job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": 60}
    )

    def alone(job: Callable[[], object]) -> Callable[[], None]:
        return _guarded(lambda: job() if jobs.leader.leads() else None)

    every = scheduler.add_job
    at_once = datetime.now(UTC)
    # However long a job takes, the leader is heard of; and where it dies, another takes over.
    every(_guarded(jobs.leader.leads), "interval", seconds=_LEAD_SECONDS)
    every(_guarded(jobs.close_quiet_studies), "interval", seconds=_CLOSE_SECONDS)
    every(_guarded(jobs.return_lost_tasks), "interval", seconds=_EXPIRED_SECONDS)
    every(_guarded(jobs.delete_expired_studies), "cron", minute=17)
    every(_guarded(jobs.watch), "interval", seconds=_WATCH_SECONDS)
    every(alone(partial(jobs.sum_up, stop)), "interval", seconds=_SUM_SECONDS)
    if settings.self_test.every_minutes:
        test = partial(jobs.test_self, stop)
        every(alone(test), "interval", minutes=settings.self_test.every_minutes)
    hour = settings.retention.integrity_check_hour
    every(_guarded(jobs.tidy), "cron", minute=37)
    every(alone(jobs.check_files), "cron", hour=hour, minute=0)
    if settings.backup.folder is not None:
        every(alone(jobs.back_up), "interval", minutes=_BACKUP_MINUTES, next_run_time=at_once)
    for archive in settings.archives:
        if archive.poll_minutes:
            poll = partial(jobs.poll, archive, stop)
            minutes = archive.poll_minutes
            every(alone(poll), "interval", minutes=minutes, next_run_time=at_once)
    with closing(jobs.leader):
        scheduler.start()
        stop.wait()
        scheduler.shutdown(wait=True)


def _guarded(job: Callable[[], object]) -> Callable[[], None]:
    """Let a job fail for once, and say so: it comes again by the clock."""

    def run() -> None:
        try:
            job()
        except SQLAlchemyError as error:
            _log.error("A scheduled job failed: the database (%s).", type(error).__name__)
        except AwayError as error:
            _log.error("A scheduled job failed: %s.", error)
        except OSError as error:
            _log.error("A scheduled job failed: the data folder (%s).", error.strerror)
        except Exception as error:
            # The text of one that nobody foresaw may hold a name.
            _log.error("A scheduled job failed (%s).", type(error).__name__)

    return run
