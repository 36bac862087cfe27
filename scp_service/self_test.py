"""The self-test: a film of our own goes the whole way, from C-STORE to a sink, without a trace."""

from __future__ import annotations

import logging
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian
from sqlalchemy import Select, select
from sqlalchemy.exc import SQLAlchemyError

import metrics
from db import retention
from db.files import FileStore
from db.models import Delivery, Report, Result, StoredReading, Study
from db.session import Database
from db.states import DeliveryState, StudyState
from scp_service.answer import PeerError
from scp_service.store_scu import Peer, associated
from settings import Settings
from settings.destinations.sink import SELF_TEST_AE

_log = logging.getLogger(__name__)

_POLL_SECONDS = 0.5
_SEND_SECONDS = 30.0
_CONTEXT = (str(ComputedRadiographyImageStorage), str(ExplicitVRLittleEndian))


class Film(Protocol):
    """A film, and what must come of it: see `inference.golden_film.GoldenFilm`."""

    @property
    def data(self) -> bytes:
        """The DICOM file (Computed Radiography, Explicit VR Little Endian)."""
        ...

    @property
    def study_instance_uid(self) -> str:
        """Of a study that nothing else belongs to."""
        ...

    @property
    def bundle(self) -> str:
        """The bundle that it is to be read with."""
        ...

    @property
    def finding(self) -> str | None:
        """What must be found; None where it must be refused."""
        ...

    @property
    def probability(self) -> float | None:
        """The probability of pneumonia that must come out, 0 to 1."""
        ...

    @property
    def tolerance(self) -> float:
        """How far from that it may be."""
        ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a self-test ended: well or with a problem; not judged where the bundle has changed."""

    problem: str | None = None
    judged: bool = True


class SelfTest:
    """Sends a film, waits for what becomes of it, compares, and deletes all of it.

    Args:
        settings: the listener, and how long to wait.
        database, store: where the film, its reading and its report can be looked up.
        film: makes a new film for the bundle in use.
        clock: seconds that only ever grow, by which the film may be late.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        store: FileStore,
        film: Callable[[], Film],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._database = database
        self._store = store
        self._film = film
        self._clock = clock

    def run(self, stop: threading.Event) -> Verdict:
        """Test once; gives up without a verdict where `stop` is set.

        Raises:
            SQLAlchemyError: the database failed.
        """
        self._erase_left_behind()
        try:
            film = self._film()
        except SQLAlchemyError:
            raise
        except Exception as error:  # of a bundle that cannot be read; the worker's log says more
            return self._told(Verdict(f"its film cannot be made ({type(error).__name__})"))
        began = self._clock()
        with self._erased(film):
            problem = self._sent(film)
            verdict = Verdict(problem) if problem else self._awaited(film, stop)
        metrics.SELF_TEST_SECONDS.observe(self._clock() - began)
        return self._told(verdict)

    def _told(self, verdict: Verdict) -> Verdict:
        if verdict.judged:
            metrics.SELF_TESTS.labels("failed" if verdict.problem else "passed").inc()
        if verdict.problem:
            _log.error("The self-test failed: %s.", verdict.problem)
        return verdict

    def _sent(self, film: Film) -> str | None:
        """Send the film; return why it was not taken."""
        listener = self._settings.listener
        host = self._settings.self_test.host
        peer = Peer(host, listener.port, listener.ae_title, SELF_TEST_AE, _SEND_SECONDS)
        with tempfile.NamedTemporaryFile(suffix=".dcm") as file:
            file.write(film.data)
            file.flush()
            try:
                with associated(peer, [_CONTEXT]) as to:
                    answer = to.store(Path(file.name))
            except PeerError as error:
                return f"the listener does not take the film: {error}"
        if answer.status != 0x0000:
            return f"the listener refuses the film with status {answer.status:04X}"
        return None

    def _awaited(self, film: Film, stop: threading.Event) -> Verdict:
        deadline = self._clock() + self._settings.self_test.timeout_seconds
        while True:
            verdict = self._looked(film)
            if verdict is not None:
                return verdict
            if self._clock() > deadline:
                seconds = self._settings.self_test.timeout_seconds
                return Verdict(f"{self._where(film)} after {seconds:g} s")
            if stop.wait(_POLL_SECONDS):
                return Verdict(judged=False)

    def _looked(self, film: Film) -> Verdict | None:
        """Compare what has become of the film; None while something is still to come."""
        with self._database.read() as session:
            study = session.scalar(_study(film))
            if study is None or study.state is StudyState.OPEN:
                return None
            if study.state is StudyState.FAILED:
                return Verdict("no report could be made of the film")
            reading = session.scalar(
                select(StoredReading)
                .where(StoredReading.instance.has(study_id=study.id))
                .order_by(StoredReading.id.desc())
            )
            sent = list(
                session.execute(
                    select(Result.kind, Delivery.state)
                    .join(Result, Delivery.result_id == Result.id)
                    .join(Report, Result.report_id == Report.id)
                    .where(Report.study_id == study.id)
                )
            )
            finding = study.finding
        if any(state is DeliveryState.PENDING for _, state in sent):
            return None
        if study.bundle != film.bundle:
            return Verdict(judged=False)
        problem = _difference(film, reading, finding)
        if problem is None and ("sr", DeliveryState.SENT) not in [tuple(row) for row in sent]:
            problem = "no report came out"
        return Verdict(problem)

    def _where(self, film: Film) -> str:
        """Say how far the film has come."""
        with self._database.read() as session:
            study = session.scalar(_study(film))
            if study is None:
                return "the film was taken and is not recorded"
            if study.state is StudyState.OPEN:
                return "the film is not reported"
            return "the report is not delivered"

    @contextmanager
    def _erased(self, film: Film) -> Iterator[None]:
        try:
            yield
        finally:
            with self._database.read() as session:
                study = session.scalar(_study(film))
            if study is not None:
                self._erase(study.id)

    def _erase_left_behind(self) -> None:
        """Erase the films of tests that were killed."""
        with self._database.read() as session:
            wait = timedelta(seconds=2 * self._settings.self_test.timeout_seconds)
            before = self._database.now(session) - wait
            left = list(
                session.scalars(
                    select(Study.id).where(
                        Study.source_ae == SELF_TEST_AE, Study.created_at < before
                    )
                )
            )
        for study_id in left:
            self._erase(study_id)

    def _erase(self, study_id: int) -> None:
        with self._database.write() as session:
            for path in retention.files_of(session, study_id):
                self._store.remove(path)
            retention.erase(session, study_id)


def _study(film: Film) -> Select[Study]:
    return select(Study).where(
        Study.study_instance_uid == film.study_instance_uid, Study.source_ae == SELF_TEST_AE
    )


def _difference(film: Film, reading: StoredReading | None, finding: str | None) -> str | None:
    """Say in which way the film was not read as it must be."""
    if reading is None or film.finding is None or film.probability is None:
        read, must = reading is not None, film.finding is not None
        told = "refused" if must else "read"
        return None if read == must else f"the film was {told}, which it must not be"
    if finding != film.finding:
        return f"the finding is {finding} and must be {film.finding}"
    if abs(reading.pneumonia - film.probability) > film.tolerance:
        return (
            f"the probability is {reading.pneumonia:.4f} and must be {film.probability:.4f}"
            f" (within {film.tolerance:g})"
        )
    return None
