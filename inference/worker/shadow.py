"""Reading in shadow: what the active bundle is done with is read by a second one, and recorded.

Nothing that happens here reaches a report or the worker that reads for one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from sqlalchemy.exc import SQLAlchemyError

from db import bundles, queue, shadows
from db.files import AwayError, FileStore
from db.keeper import LeaseKeeper
from db.models import BundleChoice, ShadowReading
from db.session import Database
from db.states import BundleRole, TaskKind
from inference.bundle import Bundle, BundleError, device, for_site
from inference.isolation import IsolatedPool
from inference.prepare import Limits
from inference.reading import Reading, Refusal
from inference.shadow import ShadowFilm, read_in_shadow
from inference.worker.choice import LOOK_SECONDS, RETRY_SECONDS
from inference.worker.outcomes import Failure, outcome_of
from inference.worker.registry import Registry
from settings import Settings

_log = logging.getLogger(__name__)

_BATCH = 8
"""Films that are leased and recorded together."""
_IDLE_SECONDS = 0.2
_DATABASE_WAIT_SECONDS = 2.0
_FILM_SECONDS = 1800.0
"""Longest for one film: at the lowest priority a busy machine gives it little of its time."""
_MEMORY_BYTES = 16 * 2**30
"""Address space of the child process; a network's runtime reserves far more than it uses."""
_RETRY = queue.Backoff(first=1.0, longest=60.0)

_Read = list[tuple[queue.Lease, "Reading | Refusal | Failure"]]


@dataclass(frozen=True, slots=True)
class _Second:
    """The bundle in shadow, and the child process that reads with it."""

    choice: BundleChoice
    bundle: Bundle
    pool: IsolatedPool


@contextmanager
def reading_in_shadow(
    settings: Settings, database: Database, store: FileStore, owner: str, worker: str
) -> Iterator[None]:
    """Read in shadow, in a thread and a child process, until the end of the block.

    `owner` is this process's name in leases, `worker` this machine's in the problems of bundles.
    """
    stop = threading.Event()
    reader = ShadowReader(settings, database, store, owner, worker)
    thread = threading.Thread(target=reader.run, args=(stop,), name="shadow")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


class ShadowReader:
    """Follows what is chosen to read in shadow, and reads while no film waits for the active one.

    A bundle that cannot be used is recorded as a problem and tried again later; its films wait.
    """

    def __init__(
        self, settings: Settings, database: Database, store: FileStore, owner: str, worker: str
    ) -> None:
        self._settings = settings
        self._database = database
        self._store = store
        self._registry = Registry(store.root)
        self._owner = owner
        self._worker = worker
        self._limits = Limits(settings.worker.max_pixels, settings.eligibility)
        self._second: _Second | None = None
        self._proven: int | None = None
        self._failed: int | None = None
        self._not_before = 0.0

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set, then give back what is not done."""
        self._keeper = LeaseKeeper(
            self._database, lease_seconds=self._settings.worker.lease_seconds
        )
        try:
            while not stop.is_set():
                try:
                    stop.wait(self._turn(stop))
                except SQLAlchemyError as error:
                    _log.error(
                        "Reading in shadow waits: the database failed (%s).", type(error).__name__
                    )
                    stop.wait(_DATABASE_WAIT_SECONDS)
                except Exception as error:  # whatever it is, the next try starts anew
                    _log.error(
                        "Reading in shadow waits: an unforeseen error of the kind %s.",
                        type(error).__name__,
                    )
                    self._end()
                    stop.wait(RETRY_SECONDS)
        finally:
            self._end()
            self._keeper.close()

    def _turn(self, stop: threading.Event) -> float:
        """Read a few films, if it is time for any; return how long to wait for the next turn."""
        with self._database.read() as session:
            choice = bundles.current(session, BundleRole.SHADOW)
            if choice is None or choice.bundle is None:
                self._end()
                return LOOK_SECONDS
            if not shadows.any_due(session, now=self._database.now(session)):
                return _IDLE_SECONDS
        if choice.id == self._failed and time.monotonic() < self._not_before:
            return LOOK_SECONDS
        second = self._open(choice)
        if second is None:
            return LOOK_SECONDS
        leases, films, files = self._claim(second)
        self._keeper.hold(leases)
        try:
            self._record(second, self._read(second, leases, films, files, stop))
        except BundleError as error:
            self._cannot_be_used(choice, str(error))
            self._give_back(leases)
        finally:
            self._keeper.drop(leases)
        return 0.0

    def _open(self, choice: BundleChoice) -> _Second | None:
        """Return the chosen bundle with its child process; None where it cannot be used."""
        if self._second is not None and self._second.choice.id == choice.id:
            return self._second
        self._end()
        key = bundles.key_of(choice)
        assert key is not None
        try:
            bundle = for_site(self._registry.load(key), self._settings.worker.prevalence)
        except (BundleError, OSError) as error:
            self._cannot_be_used(choice, str(error))
            return None
        pool = IsolatedPool(1, timeout_seconds=_FILM_SECONDS, memory_bytes=_MEMORY_BYTES)
        self._second = _Second(choice, bundle, pool)
        return self._second

    def _cannot_be_used(self, choice: BundleChoice, sentence: str) -> None:
        _log.error("The bundle in shadow cannot be used, and reads nothing: %s", sentence)
        self._end()
        self._proven, self._failed = None, choice.id
        self._not_before = time.monotonic() + RETRY_SECONDS
        with self._database.write() as session:
            now = self._database.now(session)
            bundles.record_problem(
                session, choice.id, worker=self._worker, sentence=sentence, now=now
            )

    def _claim(
        self, second: _Second
    ) -> tuple[list[queue.Lease], dict[int, ShadowFilm], dict[int, tuple[str, str]]]:
        """Lease a few films, and describe each for the child process, by instance id.

        Beside them: the path and the digest of each.
        """
        runtime = self._settings.worker.runtime
        with self._database.write() as session:
            leases = queue.claim(
                session,
                TaskKind.SHADOW,
                owner=self._owner,
                now=self._database.now(session),
                lease_seconds=self._settings.worker.lease_seconds,
                limit=_BATCH,
            )
            files = shadows.files(session, leases)
        films = {
            instance_id: ShadowFilm(
                path=self._store.near_path(path),
                bundle=second.bundle.path,
                # A GPU belongs to the active bundle alone.
                runtime="openvino" if runtime == "auto" else runtime,
                threads=self._settings.worker.threads,
                limits=self._limits,
                prevalence=self._settings.worker.prevalence,
            )
            for instance_id, (path, _) in files.items()
        }
        return leases, films, files

    def _read(
        self,
        second: _Second,
        leases: list[queue.Lease],
        films: dict[int, ShadowFilm],
        files: dict[int, tuple[str, str]],
        stop: threading.Event,
    ) -> _Read:
        """Have the films read one by one, as many as there is time for; what failed as a Failure.

        Raises:
            BundleError: the bundle cannot be used.
        """
        read: _Read = []
        for lease in leases:
            try:
                with self._store.near(*files[lease.subject_id]):
                    future = second.pool.submit(read_in_shadow, films[lease.subject_id])
                    if not _done(future, stop):
                        break
            except OSError as cause:  # it cannot be fetched
                counts = not isinstance(cause, AwayError)
                read.append((lease, Failure(f"its file: {cause.strerror}", counts=counts)))
                continue
            if isinstance(error := future.exception(), BundleError):
                raise error
            outcome = outcome_of(future)
            read.append((lease, outcome))
        if stop.is_set():
            done = {lease.task_id for lease, _ in read}
            self._give_back([lease for lease in leases if lease.task_id not in done])
        return read

    def _record(self, second: _Second, read: _Read) -> None:
        works = any(not isinstance(outcome, Failure) for _, outcome in read)
        proves = works and self._proven != second.choice.id
        with self._database.write() as session:
            now = self._database.now(session)
            if proves:
                bundles.clear_problem(session, second.choice.id, worker=self._worker)
            held = queue.still_held(session, [lease for lease, _ in read])
            for lease, outcome in read:
                if lease.task_id not in held:
                    _log.warning("A reading in shadow was dropped: its task was taken over.")
                elif not isinstance(outcome, Failure):
                    shadows.record(session, lease, row_of(outcome, second.bundle), now=now)
                elif outcome.counts and lease.attempts >= self._settings.worker.max_attempts:
                    shadows.fail(session, lease, reason=outcome.reason, now=now)
                else:
                    at = now + _RETRY.delay(lease.attempts)
                    queue.retry_later(
                        session, lease, at=at, error=outcome.reason, counts=outcome.counts
                    )
        if proves:
            self._proven = second.choice.id
            _log.info("Reading in shadow with %s.", second.bundle.label)

    def _give_back(self, leases: list[queue.Lease]) -> None:
        with self._database.write() as session:
            now = self._database.now(session)
            for lease in leases:
                queue.give_back(session, lease, now=now)

    def _end(self) -> None:
        """End the child process, if there is one."""
        if self._second is not None:
            self._second.pool.close()
            self._second = None


def _done(future: Future[Reading | Refusal], stop: threading.Event) -> bool:
    """Wait for a film; False where it is time to stop first."""
    while not stop.is_set():
        if wait([future], timeout=_IDLE_SECONDS).done:
            return True
    return False


def row_of(outcome: Reading | Refusal, bundle: Bundle) -> ShadowReading:
    """Make the row of a reading in shadow; of what and when is set where it is recorded."""
    row = ShadowReading(bundle=bundle.label, device_uid=device(bundle).uid, boxes=[])
    if isinstance(outcome, Refusal):
        row.refusal_code, row.reason = outcome.code.value, outcome.reason
        return row
    row.p_normal = outcome.probabilities.normal
    row.p_not_normal = outcome.probabilities.not_normal
    row.p_lung_opacity = outcome.probabilities.lung_opacity
    row.pneumonia = outcome.pneumonia
    row.finding = outcome.finding.value
    row.threshold = outcome.threshold
    row.boxes = [asdict(box) for box in outcome.boxes]
    return row
