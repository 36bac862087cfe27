"""The worker: leases tasks, has films prepared in child processes, reads them in batches, reports.

One loop: child processes decode and build objects, a thread has the network read what is ready, and
the loop itself speaks with the database meanwhile. So batches form by themselves, across studies.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prometheus_client import Gauge
from sqlalchemy import select
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session

import metrics
from db import queue, reports, studies
from db.bell import Bell
from db.files import FileStore
from db.keeper import LeaseKeeper
from db.models import Instance
from db.session import Database
from db.states import TaskKind
from inference.grey import grey
from inference.isolation import IsolatedPool
from inference.outcome import outcome
from inference.predict import Predictor, Raw
from inference.prepare import Limits, Prepared, prepare
from inference.reading import Refusal
from inference.urgency import is_urgent, unknown_point
from inference.worker.build import Built, build
from inference.worker.choice import BundleWatch, Model
from inference.worker.near import Kept, NearPool
from inference.worker.outcomes import Outcomes, not_read, not_reported, outcome_of, refused
from inference.worker.reporting import Reporting, finished
from inference.worker.rows import read_by_others, study_job, to_row
from inference.worker.timed import Timed, timed
from settings import Settings

_log = logging.getLogger(__name__)

_POLL_SECONDS = 0.1
_GATHER_SECONDS = 0.25
"""How long an outcome waits for others to be recorded with it, while there is work under way."""
_LOOK_SECONDS = 0.1
"""How long the queue is left alone after a look at it, while there is work under way."""
_DATABASE_WAIT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A film ready for the network of `model`, with the lease that it is read under."""

    lease: queue.Lease
    model: Model
    film: Prepared


class Worker:
    """Reads and reports until told to stop.

    A film is read by the network that it was prepared for, also where another bundle is activated
    meanwhile. A report names one bundle: what another one has read of its study is read anew.

    Args:
        settings: limits, leases, how results look, and the destinations' profiles.
        database, store: where tasks and files are.
        predictor: the bundle's network, loaded.
        owner: this worker's name in leases.
        watch: brings another network when another bundle is activated; None: it stays the same.
        current: tells whom results go to at each moment; by default, those of `settings`.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        store: FileStore,
        predictor: Predictor,
        owner: str,
        watch: BundleWatch | None = None,
        current: Callable[[], Settings] | None = None,
    ) -> None:
        self._settings = settings
        self._current = current or (lambda: settings)
        self._database = database
        self._store = store
        self._loaded: Gauge | None = None
        self._use(predictor)
        self._watch = watch
        self._owner = owner
        self._limits = Limits(settings.worker.max_pixels, settings.eligibility)
        self._reading: dict[Future[Timed[Prepared | Refusal]], tuple[queue.Lease, Model]] = {}
        self._reporting: dict[Future[Built], Reporting] = {}
        self._ready: list[_Prepared] = []
        self._predicting: dict[Future[list[Raw]], list[_Prepared]] = {}
        self._outcomes = Outcomes()
        self._gathering_since: float | None = None
        self._looked = 0.0

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set, then give back what is not done."""
        self._keeper = LeaseKeeper(
            self._database, lease_seconds=self._settings.worker.lease_seconds
        )
        with (
            closing(Bell(self._database)) as bell,
            IsolatedPool(
                self._settings.worker.processes,
                timeout_seconds=self._settings.worker.decode_timeout_seconds,
                memory_bytes=self._settings.worker.decode_memory_bytes,
                modules=(prepare.__module__, build.__module__),
            ) as children,
            closing(NearPool(children, self._store, self._settings.worker.processes)) as pool,
            ThreadPoolExecutor(1, thread_name_prefix="network") as network,
        ):
            self._waiter = bell.waiter(TaskKind.READ, TaskKind.REPORT)
            while not stop.is_set():
                try:
                    self._turn(pool, network, stop)
                except SQLAlchemyError as error:
                    _log.error("Work waits: the database failed (%s).", type(error).__name__)
                    stop.wait(_DATABASE_WAIT_SECONDS)
            self._give_back()
        self._keeper.close()
        if self._watch is not None:
            self._watch.close()

    def _turn(self, pool: NearPool, network: Executor, stop: threading.Event) -> None:
        """Take what work there is room for, then gather what is done, and record it in time."""
        self._follow()
        if not self._under_way() or time.monotonic() - self._looked >= _LOOK_SECONDS:
            self._take(pool)
            self._looked = time.monotonic()
        while self._has_batch():
            self._predict(network)
        futures = self._under_way()
        if not futures and not self._outcomes.leases():
            self._waiter.wait(stop, _POLL_SECONDS)
            return
        done, _ = wait(futures, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
        self._collect(pool, done)
        if self._is_time_to_record():
            self._commit(stop)

    def _follow(self) -> None:
        """Read with another bundle from now on, if one was activated and its network is loaded."""
        predictor = None if self._watch is None else self._watch.poll()
        if predictor is not None:
            self._use(predictor)
            _log.info("Reading with %s on %s.", predictor.bundle.label, predictor.runtime)

    def _use(self, predictor: Predictor) -> None:
        self._model = Model.of(predictor)
        if self._loaded is not None:
            self._loaded.set(0)
        self._loaded = metrics.BUNDLE.labels(predictor.bundle.label, predictor.runtime)
        self._loaded.set(1)
        problem = unknown_point(predictor.bundle, self._settings.priority)
        if problem is not None:
            _log.warning("%s.", problem)

    def _under_way(self) -> list[Future[Any]]:
        return [*self._reading, *self._reporting, *self._predicting]

    def _has_batch(self) -> bool:
        """Give an idle network what is ready, and keep a good batch waiting for a busy one."""
        least = 1 if not self._predicting else self._settings.worker.batch_size // 2
        return len(self._predicting) < 2 and len(self._ready) >= max(least, 1)

    def _is_time_to_record(self) -> bool:
        """Gather outcomes while there is work under way, but none of them for long."""
        gathered = len(self._outcomes.leases())
        if gathered == 0:
            self._gathering_since = None
            return False
        if self._gathering_since is None:
            self._gathering_since = time.monotonic()
        return (
            gathered >= self._settings.worker.batch_size
            or time.monotonic() - self._gathering_since >= _GATHER_SECONDS
            or not (self._ready or self._under_way())
        )

    def _take(self, pool: NearPool) -> None:
        """Take what there is room for; first, one by one, what a worker was lost with before."""
        held = self._leases()
        if any(lease.lane == queue.ALONE for lease in held):
            return
        takes = {TaskKind.READ: self._take_reads, TaskKind.REPORT: self._take_reports}
        for kind, take in takes.items():
            if self._is_ready(kind, queue.ALONE):
                if not held:
                    take(pool, 1, queue.ALONE)
                return
        size = self._settings.worker.batch_size
        room = 2 * size - len(self._reading) - len(self._ready)
        if (room >= size or not self._reading) and self._is_ready(TaskKind.READ):
            self._take_reads(pool, room)
        room = 2 * size - len(self._reporting)
        if room >= size and self._is_ready(TaskKind.REPORT):
            self._take_reports(pool, room)

    def _is_ready(self, kind: TaskKind, lane: str = "") -> bool:
        with self._database.read() as session:
            return queue.any_ready(session, kind, now=self._database.now(session), lane=lane)

    def _take_reads(self, pool: NearPool, room: int, lane: str = "") -> None:
        for lease, film in self._claim_reads(room, lane):
            form = self._model.predictor.bundle.input_form
            path = self._store.near_path(film.path)
            future = pool.submit([film], timed, prepare, path, form, self._limits)
            self._reading[future] = (lease, self._model)

    def _take_reports(self, pool: NearPool, room: int, lane: str = "") -> None:
        with self._database.write() as session:
            now = self._database.now(session)
            leases = self._lease(session, TaskKind.REPORT, room, lane, now)
            sources = reports.material(session, [lease.subject_id for lease in leases])
            device = self._model.device
            stale = {lease: read_by_others(sources[lease.subject_id], device) for lease in leases}
            for lease, again in stale.items():
                if again:
                    reason = "another model is in use now"
                    reports.read_again(session, lease, again, reason=reason, now=now)
        fresh = [lease for lease in leases if not stale[lease]]
        self._keeper.hold(fresh)
        for lease in fresh:
            source = sources[lease.subject_id]
            settings = self._current()
            job = study_job(source, self._store, device, settings)
            self._build(pool, Reporting(lease, source, device, job, settings))

    def _build(self, pool: NearPool, task: Reporting) -> None:
        """Have a report built, by the child that decoded its film, which may remember it."""
        films = [Kept(each.path, each.file_sha256) for each, _ in task.source.images]
        self._reporting[pool.build(films, task.job)] = task

    def _claim_reads(self, room: int, lane: str) -> list[tuple[queue.Lease, Kept]]:
        with self._database.write() as session:
            now = self._database.now(session)
            leases = self._lease(session, TaskKind.READ, room, lane, now)
            rows = session.execute(
                select(Instance.id, Instance.path, Instance.file_sha256).where(
                    Instance.id.in_([lease.subject_id for lease in leases])
                )
            )
            films = {row.id: Kept(row.path, row.file_sha256) for row in rows}
        self._keeper.hold(leases)
        return [(lease, films[lease.subject_id]) for lease in leases]

    def _lease(
        self, session: Session, kind: TaskKind, limit: int, lane: str, now: datetime
    ) -> list[queue.Lease]:
        return queue.claim(
            session,
            kind,
            owner=self._owner,
            now=now,
            lease_seconds=self._settings.worker.lease_seconds,
            limit=limit,
            lane=lane,
        )

    def _leases(self) -> list[queue.Lease]:
        """List the leases of all that is under way or not yet recorded."""
        return [
            *(lease for lease, _ in self._reading.values()),
            *(each.lease for each in self._reporting.values()),
            *(each.lease for each in self._ready),
            *(each.lease for batch in self._predicting.values() for each in batch),
            *self._outcomes.leases(),
        ]

    def _collect(self, pool: NearPool, done: set[Future[Any]]) -> None:
        """Turn finished futures into films for the network and into what is to be recorded.

        A report that fails for the last time is tried once more without overlays: what brings
        down whoever draws a film must not keep a finding back.
        """
        outcomes = self._outcomes
        for film in [each for each in self._reading if each in done]:
            lease, model = self._reading.pop(film)
            answer = outcome_of(film)
            if isinstance(answer, Timed):
                metrics.DECODE_SECONDS.observe(answer.seconds)
            made = answer.value if isinstance(answer, Timed) else answer
            if isinstance(made, Prepared):
                self._ready.append(_Prepared(lease, model, made))
            elif isinstance(made, Refusal):
                outcomes.others.append((lease, refused(lease, made)))
            else:
                outcomes.others.append((lease, not_read(lease, made, last=self._is_last(lease))))
        for report in [each for each in self._reporting if each in done]:
            task = self._reporting.pop(report)
            built = outcome_of(report)
            if isinstance(built, Built):
                outcomes.reports.append(finished(task, built))
            elif self._is_last(task.lease) and built.counts and task.job.overlays:
                self._build(pool, task.without_overlays(built.reason))
            else:
                failed = not_reported(task.lease, built, last=self._is_last(task.lease))
                outcomes.others.append((task.lease, failed))
        for prediction in [each for each in self._predicting if each in done]:
            batch = self._predicting.pop(prediction)
            for each, raw in zip(batch, prediction.result(), strict=True):
                self._settle(each, raw)

    def _settle(self, film: _Prepared, raw: Raw) -> None:
        """Keep what the network's look at a film amounts to: a reading or a refusal."""
        said = outcome(raw, film.film, film.model.predictor.bundle)
        if isinstance(said, Refusal):
            self._outcomes.others.append((film.lease, refused(film.lease, said)))
        else:
            urgent = is_urgent(said, film.model.predictor.bundle, self._settings.priority)
            row = to_row(
                said, film.lease.subject_id, film.model.device, grey(film.film), urgent=urgent
            )
            self._outcomes.readings.append((film.lease, row))

    def _predict(self, network: Executor) -> None:
        """Have the network read what is ready for it, as much as it takes at once."""
        model = self._ready[0].model
        batch = [each for each in self._ready if each.model is model]
        del batch[self._settings.worker.batch_size :]
        taken = {each.lease.task_id for each in batch}
        self._ready = [each for each in self._ready if each.lease.task_id not in taken]
        inputs = np.stack([each.film.input for each in batch])
        self._predicting[network.submit(_read, model.predictor, inputs)] = batch

    def _commit(self, stop: threading.Event) -> None:
        """Record what was gathered in one transaction; what lost its lease is dropped alone.

        A database that fails is waited for: what was read must not be forgotten while its lease is
        kept alive. On the way out there is no time for that; the leases then end by themselves.
        What a database that is well does not take keeps nothing else waiting.
        """
        outcomes, self._outcomes = self._outcomes, Outcomes()
        left = [outcomes]
        while left:
            try:
                self._record(left[0])
                del left[0]
            except (DataError, IntegrityError) as error:
                most = self._settings.worker.max_attempts
                left[:1] = left[0].apart(type(error).__name__, max_attempts=most)
            except SQLAlchemyError as error:
                _log.error("Work waits: the database failed (%s).", type(error).__name__)
                if stop.wait(_DATABASE_WAIT_SECONDS):
                    break
        self._keeper.drop(outcomes.leases())

    def _record(self, outcomes: Outcomes) -> None:
        leases = outcomes.leases()
        with self._database.write() as session:
            now = self._database.now(session)
            held = queue.still_held(session, leases)
            if len(held) < len(leases):
                _log.warning("A result was dropped: another worker had taken its task over.")
                outcomes = outcomes.only(held)
            outcomes.record(session, now)
            studies.close_quiet(session, quiet_seconds=self._settings.study_quiet_seconds, now=now)
        outcomes.measure(now)

    def _is_last(self, lease: queue.Lease) -> bool:
        return lease.attempts >= self._settings.worker.max_attempts

    def _give_back(self) -> None:
        try:
            with self._database.write() as session:
                now = self._database.now(session)
                for lease in self._leases():
                    queue.give_back(session, lease, now=now)
        except SQLAlchemyError:
            _log.warning("Tasks could not be given back; they return when their leases end.")


def _read(predictor: Predictor, inputs: NDArray[np.uint8]) -> list[Raw]:
    metrics.BATCH_FILMS.observe(len(inputs))
    with metrics.MODEL_SECONDS.time():
        return predictor.predict(inputs)
