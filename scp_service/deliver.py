"""Delivery: every destination has a lane and a thread of its own; none waits for another."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import chain

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

import metrics
from audit import Trail
from audit.events import Subject
from db import commitments, deliveries, pauses, queue
from db.bell import Bell
from db.files import AwayError, FileStore
from db.keeper import LeaseKeeper
from db.models import Task
from db.objects import NotHereError
from db.session import Database
from db.states import TaskKind, TaskState
from scp_service.answer import Answer, Outcome, PeerError, UntrustedPeerError
from scp_service.audited import Refusals, results_left, subjects
from scp_service.commitment.asking import Asker
from scp_service.destinations.connector import Connection
from scp_service.destinations.registry import connector
from settings import Destination, DicomDestination, Settings

_log = logging.getLogger(__name__)

_POLL_SECONDS = 0.1
_LANES_POLL_SECONDS = 2.0
_LINGER_SECONDS = 1.0
_LOOK_SECONDS = 1.0
_LEASE_SECONDS = 60.0
MOST_REFUSALS = 5
"""How often one object may be refused for a reason of its own before it is given up."""


def deliver_all(
    settings: Settings,
    database: Database,
    store: FileStore,
    stop: threading.Event,
    owner: str,
    current: Callable[[], Settings] | None = None,
) -> None:
    """Run a lane for every destination that is configured or has work, until `stop` is set.

    Those that shall commit themselves have a thread beside it that asks them to. `current` tells
    how destinations are reached at each moment; by default that is as `settings` say.
    """
    current = current or (lambda: settings)
    keeper = LeaseKeeper(database, lease_seconds=_LEASE_SECONDS)
    bell = Bell(database)
    trail = Trail(settings)
    threads: dict[str, list[threading.Thread]] = {}
    names = [destination.name for destination in settings.destinations]
    while True:
        for name in names:
            if name not in threads:
                lane = Lane(name, current, database, store, keeper, bell, stop, owner, trail)
                threads[name] = [_started(lane.run, f"lane-{name}")]
            destination = current().destination(name)
            is_asked = isinstance(destination, DicomDestination) and destination.commit
            if is_asked and len(threads[name]) == 1:
                asker = Asker(name, current, database)
                asking = _started(partial(asker.run, stop), f"commitment-{name}")
                threads[name].append(asking)
        if stop.wait(_LANES_POLL_SECONDS):
            break
        names = _lanes_with_work(database)
    for thread in chain.from_iterable(threads.values()):
        thread.join()
    keeper.close()
    bell.close()
    trail.close()


def _started(run: Callable[[], None], name: str) -> threading.Thread:
    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread


class Lane:
    """What goes to one destination, in order, over one connection at a time."""

    def __init__(
        self,
        name: str,
        current: Callable[[], Settings],
        database: Database,
        store: FileStore,
        keeper: LeaseKeeper,
        bell: Bell,
        stop: threading.Event,
        owner: str,
        trail: Trail,
    ) -> None:
        self._name = name
        self._trail = trail
        self._untrusted = Refusals(trail)
        self._current = current
        self._settings = settings = current()
        self._database = database
        self._store = store
        self._keeper = keeper
        self._waiter = bell.waiter(TaskKind.DELIVER, lane=name)
        self._stop = stop
        self._owner = owner
        self._backoff = queue.Backoff(
            settings.delivery.backoff_seconds, settings.delivery.backoff_max_seconds
        )
        self._failures = 0

    def run(self) -> None:
        """Deliver until asked to stop; an unreachable peer or database only makes it wait."""
        while not self._stop.is_set():
            try:
                parcels = self._claim()
                if not parcels:
                    self._waiter.wait(self._stop, _POLL_SECONDS)
                    continue
                wait = self._send_all(parcels)
            except SQLAlchemyError as error:
                _log.error("Delivery waits: the database failed (%s).", type(error).__name__)
                wait = self._settings.delivery.backoff_seconds
            self._wait(wait)

    def _wait(self, seconds: float) -> None:
        """Wait, but no longer than until the destination is configured otherwise."""
        destination = self._current().destination(self._name)
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if self._stop.wait(min(left, _LOOK_SECONDS)):
                return
            if self._current().destination(self._name) != destination:
                self._failures = 0
                return

    def _claim(self) -> list[deliveries.Parcel]:
        with self._database.read() as session:
            now = self._database.now(session)
            if not queue.any_ready(session, TaskKind.DELIVER, now=now, lane=self._name):
                return []
            if pauses.is_paused(session, self._name):
                return []
        with self._database.write() as session:
            leases = queue.claim(
                session,
                TaskKind.DELIVER,
                owner=self._owner,
                now=self._database.now(session),
                lease_seconds=_LEASE_SECONDS,
                limit=self._settings.delivery.batch_size,
                lane=self._name,
            )
            parcels = deliveries.parcels(session, leases)
        self._keeper.hold(leases)
        return parcels

    def _send_all(self, parcels: list[deliveries.Parcel]) -> float:
        """Send over one connection for as long as there is work; return how long to wait then."""
        settings = self._current()
        destination = settings.destination(self._name)
        if destination is None:
            return self._put_off(parcels, "no destination of this name is configured any more")
        called = connector(destination, settings)
        try:
            with called.connected(self._store) as connection:
                while parcels:
                    self._send_batch(connection, parcels)
                    parcels = self._await_more(destination)
        except PeerError as error:
            if isinstance(error, UntrustedPeerError):
                self._untrusted.add(called.where, str(error), calling=self._name)
            return self._put_off(parcels, str(error), error.retry_after_seconds or 0.0)
        return 0.0

    def _await_more(self, destination: Destination) -> list[deliveries.Parcel]:
        """Claim what comes within a moment: a connection costs more than an object.

        Nothing, where the destination is configured otherwise by now.
        """
        deadline = time.monotonic() + _LINGER_SECONDS
        parcels: list[deliveries.Parcel] = []
        if self._current().destination(self._name) != destination:
            return parcels
        while not parcels and not self._stop.is_set() and time.monotonic() < deadline:
            parcels = self._claim()
            if not parcels:
                self._waiter.wait(self._stop, _POLL_SECONDS)
        return parcels

    def _send_batch(self, connection: Connection, parcels: list[deliveries.Parcel]) -> None:
        """Send parcels and record what became of them; those left unsent stay in the list."""
        answers: list[tuple[deliveries.Parcel, Answer]] = []
        try:
            while parcels and not self._stop.is_set():
                answer = _send(connection, parcels[0])
                answers.append((parcels.pop(0), answer))
        finally:
            if answers:
                self._failures = 0
            self._record(answers)
        if self._stop.is_set():
            self._give_back(parcels)
            parcels.clear()

    def _record(self, answers: Sequence[tuple[deliveries.Parcel, Answer]]) -> None:
        by_id = {parcel.delivery_id: answer for parcel, answer in answers}
        told: list[deliveries.Parcel] = []
        refused: dict[str, list[deliveries.Parcel]] = {}
        of: dict[int, Subject] = {}

        def record(session: Session, parcels: Sequence[deliveries.Parcel], now: datetime) -> None:
            sent: list[deliveries.Sent] = []
            for parcel in parcels:
                answer = by_id[parcel.delivery_id]
                if answer.stored:
                    status, sent_as = answer.status or 0, answer.sent_as
                    sent.append(deliveries.Sent(parcel, status, sent_as, answer.commit))
                else:
                    self._record_refusal(session, parcel, answer, now)
            if sent:
                deliveries.record_sent(session, sent, now=now)
            told[:] = [each.parcel for each in sent]
            refused.clear()
            for parcel in parcels:
                if _is_told(by_id[parcel.delivery_id], parcel.lease.attempts):
                    refused.setdefault(by_id[parcel.delivery_id].reason, []).append(parcel)
            of.update(subjects(session, [parcel.study_id for parcel in parcels]))

        recorded_at = self._write([parcel for parcel, _ in answers], record)
        if recorded_at is not None:
            self._measure(answers, recorded_at)
            results_left(self._trail, self._current(), self._name, told, of)
            for reason, parcels in refused.items():
                results_left(self._trail, self._current(), self._name, parcels, of, failure=reason)

    def _measure(
        self, answers: Sequence[tuple[deliveries.Parcel, Answer]], recorded_at: datetime
    ) -> None:
        for parcel, answer in answers:
            self._log_answer(parcel, answer)
            metrics.DELIVERIES.labels(self._name, answer.outcome.value).inc()
            if answer.stored:
                waited = recorded_at - parcel.lease.created_at
                metrics.DELIVERY_SECONDS.labels(self._name).observe(waited.total_seconds())

    def _log_answer(self, parcel: deliveries.Parcel, answer: Answer) -> None:
        """Log what became of an object; what a peer says of it may name the patient."""
        ids = {
            "study": parcel.study_id,
            "delivery": parcel.delivery_id,
            "task": parcel.lease.task_id,
        }
        if answer.stored:
            _log.debug("Destination %s has an object.", self._name, extra=ids)
        elif _is_final(answer, parcel.lease.attempts):
            _log.error("Destination %s refuses an object for good.", self._name, extra=ids)
        else:
            _log.warning("Destination %s does not take an object now.", self._name, extra=ids)

    def _record_refusal(
        self, session: Session, parcel: deliveries.Parcel, answer: Answer, now: datetime
    ) -> None:
        if _is_final(answer, parcel.lease.attempts):
            deliveries.record_rejected(
                session, parcel, status=answer.status, reason=answer.reason, now=now
            )
        else:
            deliveries.record_failure(
                session,
                parcel,
                status=answer.status,
                reason=answer.reason,
                at=now + self._backoff.delay(parcel.lease.attempts),
                now=now,
            )

    def _put_off(
        self, parcels: Sequence[deliveries.Parcel], reason: str, asked_seconds: float = 0.0
    ) -> float:
        """Return what could not be sent and wait, the longer the more often this happens.

        A destination that asks us to wait is obeyed, up to `delivery.backoff_max_seconds`.
        """
        self._failures += 1
        metrics.DELIVERIES.labels(self._name, "unreachable").inc()
        delay = max(
            self._backoff.delay(self._failures).total_seconds(),
            min(asked_seconds, self._backoff.longest),
        )
        _log.warning("Destination %s: %s; next attempt in %.0f s.", self._name, reason, delay)

        def record(session: Session, parcels: Sequence[deliveries.Parcel], now: datetime) -> None:
            for parcel in parcels:
                deliveries.record_failure(
                    session,
                    parcel,
                    status=None,
                    reason=reason,
                    at=now + timedelta(seconds=delay),
                    now=now,
                    counts=False,
                )

        self._write(parcels, record)
        return delay

    def _give_back(self, parcels: Sequence[deliveries.Parcel]) -> None:
        def give_back(
            session: Session, parcels: Sequence[deliveries.Parcel], now: datetime
        ) -> None:
            for parcel in parcels:
                queue.give_back(session, parcel.lease, now=now)

        self._write(parcels, give_back)

    def _write(
        self,
        parcels: Sequence[deliveries.Parcel],
        record: Callable[[Session, Sequence[deliveries.Parcel], datetime], None],
    ) -> datetime | None:
        """Record what became of parcels, in one transaction, and let go of their leases.

        Returns when that was; None where it was not.

        A database that fails is waited for: what a peer has acknowledged must not be forgotten. On
        the way out there is no time for that; the leases then end by themselves.
        """
        recorded_at = None
        while parcels:
            try:
                with self._database.write() as session:
                    now = self._database.now(session)
                    held = queue.still_held(session, [parcel.lease for parcel in parcels])
                    ours = [parcel for parcel in parcels if parcel.lease.task_id in held]
                    if len(ours) < len(parcels):
                        _log.warning("A delivery was taken over by another sender.")
                    if ours:
                        record(session, ours, now)
                recorded_at = now
                break
            except SQLAlchemyError as error:
                _log.error("Delivery waits: the database failed (%s).", type(error).__name__)
                if self._stop.wait(self._settings.delivery.backoff_seconds):
                    break
        self._keeper.drop([parcel.lease for parcel in parcels])
        return recorded_at


def _send(connection: Connection, parcel: deliveries.Parcel) -> Answer:
    try:
        return connection.send(parcel)
    except PeerError:
        raise
    except NotHereError as error:
        return Answer(Outcome.TEMPORARY, str(error))
    except AwayError as error:
        raise PeerError(str(error)) from None
    except Exception as error:
        # A file that is missing or damaged raises almost anything, and must hold up no other.
        ids = {"study": parcel.study_id, "delivery": parcel.delivery_id}
        _log.error("A stored result cannot be sent (%s).", type(error).__name__, extra=ids)
        return Answer(Outcome.REFUSED, f"its file cannot be sent ({type(error).__name__})")


def _is_final(answer: Answer, attempts: int) -> bool:
    refused_often = answer.outcome is Outcome.REFUSED and attempts >= MOST_REFUSALS
    return refused_often or answer.outcome is Outcome.REJECTED


def _is_told(answer: Answer, attempts: int) -> bool:
    """Tell whether the audit trail tells of a failure: of the first one, and of giving up."""
    return not answer.stored and (attempts == 1 or _is_final(answer, attempts))


def _lanes_with_work(database: Database) -> list[str]:
    """List who waits for results, or owes us its word for what it got."""
    try:
        with database.read() as session:
            lanes = select(Task.lane).where(
                Task.kind == TaskKind.DELIVER, Task.state == TaskState.READY
            )
            return sorted({*session.scalars(lanes.distinct()), *commitments.owed(session)})
    except SQLAlchemyError as error:
        _log.error("Lanes cannot be listed: the database failed (%s).", type(error).__name__)
        return []
