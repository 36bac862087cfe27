"""The worker: leases tasks, has films prepared in child processes, reads them in batches, reports.

One loop, one thread: child processes decode and build objects while the network runs here, so that
batches form by themselves from whatever is ready, across studies.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from db import queue, studies
from db.files import FileStore
from db.keeper import LeaseKeeper
from db.models import Instance, StoredReading, TaskKind
from db.session import Database
from inference.bundle import Bundle, device
from inference.isolation import ChildFailedError, IsolatedPool
from inference.predict import Predictor, reading
from inference.prepare import Limits, Prepared, prepare
from inference.reading import (
    Box,
    Device,
    Finding,
    Probabilities,
    Reading,
    Refusal,
    RefusalCode,
)
from inference.report.build import (
    ImageResult,
    Predecessor,
    ReportError,
    ResultObject,
    StudyJob,
    StudyResult,
    build_study,
)
from settings import Settings

_log = logging.getLogger(__name__)

_POLL_SECONDS = 0.1
_DATABASE_WAIT_SECONDS = 2.0
_RETRY = queue.Backoff(first=1.0, longest=60.0)

_Record = Callable[[Session, datetime], None]


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A film ready for the network, with the lease that it is read under."""

    lease: queue.Lease
    film: Prepared


def decode_processes(settings: Settings) -> int:
    """Return how many child processes to use: as configured, else one per core, at most 8."""
    return settings.worker.decode_processes or min(8, len(os.sched_getaffinity(0)))


class Worker:
    """Reads and reports until told to stop.

    Args:
        settings: limits, leases, how results look, and the destinations' profiles.
        database, store: where tasks and files are.
        predictor: the bundle's network, loaded.
        owner: this worker's name in leases.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        store: FileStore,
        predictor: Predictor,
        owner: str,
    ) -> None:
        self._settings = settings
        self._database = database
        self._store = store
        self._predictor = predictor
        self._bundle: Bundle = predictor.bundle
        self._device: Device = device(predictor.bundle)
        self._owner = owner
        self._limits = Limits(settings.worker.max_pixels, settings.eligibility)
        self._reading: dict[Future[Prepared | Refusal], queue.Lease] = {}
        self._reporting: dict[Future[StudyResult], tuple[queue.Lease, studies.Material]] = {}
        self._ready: list[_Prepared] = []

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set, then give back what is not done."""
        self._keeper = LeaseKeeper(
            self._database, lease_seconds=self._settings.worker.lease_seconds
        )
        with IsolatedPool(
            decode_processes(self._settings),
            timeout_seconds=self._settings.worker.decode_timeout_seconds,
            memory_bytes=self._settings.worker.decode_memory_bytes,
        ) as pool:
            while not stop.is_set():
                try:
                    self._turn(pool, stop)
                except SQLAlchemyError as error:
                    _log.error("Work waits: the database failed (%s).", type(error).__name__)
                    stop.wait(_DATABASE_WAIT_SECONDS)
            self._give_back()
        self._keeper.close()

    def _turn(self, pool: IsolatedPool, stop: threading.Event) -> None:
        """Take what work there is room for, then finish what is ready."""
        self._take_reads(pool)
        self._take_reports(pool)
        futures: list[Future[object]] = [*self._reading, *self._reporting]  # type: ignore[list-item]
        if not futures and not self._ready:
            stop.wait(_POLL_SECONDS)
            return
        done, _ = wait(
            futures, timeout=0 if self._ready else _POLL_SECONDS, return_when=FIRST_COMPLETED
        )
        records = self._collect(done)
        if self._ready:
            batch = self._ready[: self._settings.worker.batch_size]
            del self._ready[: len(batch)]
            records += self._predict(batch)
        if records:
            self._commit(records)

    def _take_reads(self, pool: IsolatedPool) -> None:
        size = self._settings.worker.batch_size
        room = 2 * size - len(self._reading) - len(self._ready)
        if room < size and self._reading:
            return
        for lease, path in self._claim(TaskKind.READ, room):
            future = pool.submit(prepare, path, self._predictor.input_size, self._limits)
            self._reading[future] = lease

    def _take_reports(self, pool: IsolatedPool) -> None:
        room = 4 * decode_processes(self._settings) - len(self._reporting)
        if room <= 0:
            return
        with self._database.read() as session:
            now = self._database.now(session)
            if not queue.any_ready(session, TaskKind.REPORT, now=now):
                return
        with self._database.write() as session:
            now = self._database.now(session)
            leases = self._lease(session, TaskKind.REPORT, room, now)
            sources = [(lease, studies.material(session, lease.subject_id)) for lease in leases]
            for lease, source in list(sources):
                stale = self._stale(source)
                if stale:
                    sources.remove((lease, source))
                    studies.read_again(
                        session, lease, stale, reason="another model is in use now", now=now
                    )
        self._keeper.hold([lease for lease, _ in sources])
        for lease, source in sources:
            future = pool.submit(build_study, self._job(source))
            self._reporting[future] = (lease, source)

    def _claim(self, kind: TaskKind, room: int) -> list[tuple[queue.Lease, Path]]:
        with self._database.read() as session:
            if not queue.any_ready(session, kind, now=self._database.now(session)):
                return []
        with self._database.write() as session:
            leases = self._lease(session, kind, room, self._database.now(session))
            rows = session.execute(
                select(Instance.id, Instance.path).where(
                    Instance.id.in_([lease.subject_id for lease in leases])
                )
            )
            paths = {row.id: self._store.path(row.path) for row in rows}
        self._keeper.hold(leases)
        return [(lease, paths[lease.subject_id]) for lease in leases]

    def _lease(
        self, session: Session, kind: TaskKind, limit: int, now: datetime
    ) -> list[queue.Lease]:
        return queue.claim(
            session,
            kind,
            owner=self._owner,
            now=now,
            lease_seconds=self._settings.worker.lease_seconds,
            limit=limit,
        )

    def _collect(self, done: set[Future[object]]) -> list[tuple[queue.Lease, _Record]]:
        """Turn finished futures into films for the network and into what to record."""
        records: list[tuple[queue.Lease, _Record]] = []
        for future in [each for each in self._reading if each in done]:
            lease = self._reading.pop(future)
            try:
                outcome = future.result()
            except ChildFailedError as error:
                records.append((lease, self._image_failed(lease, str(error))))
                continue
            except Exception as error:
                # One film must never stop the others; its attempts are counted and then it is set
                # aside. The text of the error may hold patient data, so only its kind is kept.
                records.append((lease, self._image_failed(lease, _kind_of(error))))
                continue
            if isinstance(outcome, Refusal):
                records.append((lease, _refused(lease, outcome)))
            else:
                self._ready.append(_Prepared(lease, outcome))
        for built in [each for each in self._reporting if each in done]:
            lease, source = self._reporting.pop(built)
            try:
                result = built.result()
                records.append((lease, self._reported(lease, source, result)))
            except (ChildFailedError, ReportError) as error:
                records.append((lease, self._report_failed(lease, str(error))))
            except OSError as error:
                reason = f"the report could not be written: {error.strerror}"
                records.append((lease, self._report_failed(lease, reason)))
            except Exception as error:
                # As above: one study must never stop the others.
                records.append((lease, self._report_failed(lease, _kind_of(error))))
        return records

    def _predict(self, batch: Sequence[_Prepared]) -> list[tuple[queue.Lease, _Record]]:
        raws = self._predictor.predict(np.stack([each.film.input for each in batch]))
        records = []
        for each, raw in zip(batch, raws, strict=True):
            film = each.film
            said = reading(raw, film.letterbox, film.rows, film.columns, self._bundle)
            records.append((each.lease, self._read(each.lease, said)))
        return records

    def _commit(self, records: Sequence[tuple[queue.Lease, _Record]]) -> None:
        """Record outcomes in one transaction; one whose lease was lost is dropped alone."""
        with self._database.write() as session:
            now = self._database.now(session)
            for _, record in records:
                try:
                    with session.begin_nested():
                        record(session, now)
                except queue.LeaseLostError:
                    _log.warning("A result was dropped: another worker had taken its task over.")
            studies.close_quiet(session, quiet_seconds=self._settings.study_quiet_seconds, now=now)
        self._keeper.drop([lease for lease, _ in records])

    def _read(self, lease: queue.Lease, said: Reading) -> _Record:
        row = StoredReading(
            instance_id=lease.subject_id,
            bundle=said.bundle,
            device_uid=self._device.uid,
            rows=said.rows,
            columns=said.columns,
            p_normal=said.probabilities.normal,
            p_not_normal=said.probabilities.not_normal,
            p_lung_opacity=said.probabilities.lung_opacity,
            pneumonia=said.pneumonia,
            finding=said.finding.value,
            threshold=said.threshold,
            boxes=[
                {
                    "x": box.x,
                    "y": box.y,
                    "width": box.width,
                    "height": box.height,
                    "score": box.score,
                }
                for box in said.boxes
            ],
        )

        def record(session: Session, now: datetime) -> None:
            row.created_at = now
            studies.record_reading(session, lease, row, now=now)

        return record

    def _image_failed(self, lease: queue.Lease, reason: str) -> _Record:
        def record(session: Session, now: datetime) -> None:
            if lease.attempts >= self._settings.worker.max_attempts:
                studies.quarantine_image(session, lease, reason=reason, now=now)
            else:
                at = now + _RETRY.delay(lease.attempts)
                queue.retry_later(session, lease, at=at, error=reason)

        return record

    def _report_failed(self, lease: queue.Lease, reason: str) -> _Record:
        _log.error("A report could not be made: %s", reason)

        def record(session: Session, now: datetime) -> None:
            if lease.attempts >= self._settings.worker.max_attempts:
                studies.fail_report(session, lease, reason=reason, now=now)
            else:
                at = now + _RETRY.delay(lease.attempts)
                queue.retry_later(session, lease, at=at, error=reason)

        return record

    def _reported(
        self, lease: queue.Lease, source: studies.Material, result: StudyResult
    ) -> _Record:
        recorded_at = _recorded_at(source)
        report = studies.NewReport(
            bundle=f"{self._device.name} {self._device.version}",
            device_uid=self._device.uid,
            finding=result.finding.value,
            probability=result.probability,
            sentence=result.sentence,
            recorded_at=recorded_at,
            results=tuple(self._keep(each, recorded_at) for each in (result.sr, *result.overlays)),
        )
        profiles = self._settings.profiles(source.source_ae, source.source_address)
        if not profiles:
            _log.warning("A report goes nowhere: no destination is configured for its sender.")
        return lambda session, now: studies.record_report(
            session, lease, source, report, profiles, now=now
        )

    def _keep(self, new: ResultObject, recorded_at: datetime) -> studies.NewResult:
        name = hashlib.sha256(new.sop_instance_uid.encode()).hexdigest()[:32]
        return studies.NewResult(
            kind=new.kind,
            sop_class_uid=new.sop_class_uid,
            sop_instance_uid=new.sop_instance_uid,
            series_instance_uid=new.series_instance_uid,
            transfer_syntax_uid=new.transfer_syntax_uid,
            path=self._store.write_result(name, new.data, recorded_at),
            size=len(new.data),
            file_sha256=hashlib.sha256(new.data).hexdigest(),
        )

    def _stale(self, source: studies.Material) -> list[int]:
        """List the images of a study that another model has read."""
        return [
            instance.id
            for instance, stored in source.images
            if stored is not None and stored.device_uid != self._device.uid
        ]

    def _job(self, source: studies.Material) -> StudyJob:
        prior = source.prior
        return StudyJob(
            images=tuple(
                ImageResult(
                    self._store.path(instance.path),
                    None if stored is None else _reading_of(stored),
                    _refusal_of(instance) if stored is None else None,
                )
                for instance, stored in source.images
            ),
            device=self._device,
            recorded_at=_recorded_at(source),
            revision=source.revision,
            predecessor=None
            if prior is None
            else Predecessor(
                source.study_instance_uid,
                prior.series_instance_uid,
                prior.sop_class_uid,
                prior.sop_instance_uid,
            ),
            sc_max_side=self._settings.report.sc_max_side,
            jpeg_quality=self._settings.report.sc_jpeg_quality,
            max_pixels=self._settings.worker.max_pixels,
        )

    def _give_back(self) -> None:
        leases = [
            *self._reading.values(),
            *(lease for lease, _ in self._reporting.values()),
            *(each.lease for each in self._ready),
        ]
        try:
            with self._database.write() as session:
                now = self._database.now(session)
                for lease in leases:
                    queue.give_back(session, lease, now=now)
        except SQLAlchemyError:
            _log.warning("Tasks could not be given back; they return when their leases end.")


def _kind_of(error: Exception) -> str:
    return f"an unforeseen error of the kind {type(error).__name__}"


def _refused(lease: queue.Lease, refusal: Refusal) -> _Record:
    return lambda session, now: studies.record_refusal(
        session, lease, code=refusal.code.value, reason=refusal.reason, now=now
    )


def _recorded_at(source: studies.Material) -> datetime:
    """Return the time that a report carries: when the last of its images was settled."""
    return max(instance.settled_at or instance.received_at for instance, _ in source.images)


def _reading_of(stored: StoredReading) -> Reading:
    return Reading(
        rows=stored.rows,
        columns=stored.columns,
        probabilities=Probabilities(stored.p_normal, stored.p_not_normal, stored.p_lung_opacity),
        pneumonia=stored.pneumonia,
        boxes=tuple(Box(**box) for box in stored.boxes),
        finding=Finding(stored.finding),
        threshold=stored.threshold,
        bundle=stored.bundle,
    )


def _refusal_of(instance: Instance) -> Refusal:
    code = RefusalCode(instance.refusal_code or RefusalCode.UNDECODABLE)
    return Refusal(code, instance.reason or "The image could not be read.")
