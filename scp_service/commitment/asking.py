"""We as SCU: destinations are asked to commit themselves to what they have acknowledged.

A thread for each destination, beside its lane and never in its way. The answer comes over the same
association while it is open, or later over one to our listener; both record it here.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Sequence
from datetime import timedelta

from pydicom import Dataset
from pydicom.uid import ComprehensiveSRStorage
from pynetdicom import evt
from pynetdicom.events import Event
from sqlalchemy.exc import SQLAlchemyError

from db import commitments, pauses
from db.commitments import Asked
from db.queue import Backoff
from db.session import Database
from scp_service.answer import PeerError
from scp_service.commitment import messages
from scp_service.commitment.messages import EventStatus
from scp_service.destinations.dicom import peer_of
from scp_service.store_scu import Peer, associated
from settings import DicomDestination, Settings

_log = logging.getLogger(__name__)

_POLL_SECONDS = 1.0
_LINGER_SECONDS = 5.0
"""How long an association stays open for the answer."""
_MOST_AT_ONCE = 100


def record_answer(event: Event, database: Database) -> int:
    """Answer an N-EVENT-REPORT: success means that what it says is recorded (PS3.4 J.3.3)."""
    if event.event_type not in (messages.ALL_COMMITTED, messages.SOME_FAILED):
        return EventStatus.NO_SUCH_EVENT
    try:
        transaction_uid, said = messages.read_answer(event.event_information)
        with database.write() as session:
            now = database.now(session)
            count = commitments.settle(session, transaction_uid, said, now=now)
    except messages.MessageError as error:
        _log.warning("A storage commitment's answer cannot be used: %s.", error)
        return EventStatus.INVALID_ARGUMENT
    except SQLAlchemyError as error:
        _log.error("A storage commitment was not recorded (%s).", type(error).__name__)
        return EventStatus.PROCESSING_FAILURE
    failed = sum(each.outcome is not commitments.Outcome.COMMITTED for each in said.values())
    if failed:
        _log.warning("Of %d results, %d were not committed.", len(said), failed)
    else:
        _log.info("Storage of %d results was committed.", count)
    return EventStatus.SUCCESS


class Asker:
    """Asks one destination for commitment, in batches, for as long as there is something to ask."""

    def __init__(self, name: str, current: Callable[[], Settings], database: Database) -> None:
        """`current` tells how the destination `name` is called, and whether it is asked at all."""
        self._name = name
        self._current = current
        self._settings = current().delivery
        self._database = database
        self._backoff = Backoff(self._settings.backoff_seconds, self._settings.backoff_max_seconds)
        self._failures = 0

    def run(self, stop: threading.Event) -> None:
        """Ask until told to stop."""
        while not stop.is_set():
            wait = _POLL_SECONDS
            try:
                wait = self._ask_if_due()
            except SQLAlchemyError as error:
                _log.error("Commitment waits: the database failed (%s).", type(error).__name__)
            stop.wait(wait)

    def _ask_if_due(self) -> float:
        """Ask for one batch; return how long to wait then."""
        settings = self._current()
        destination = settings.destination(self._name)
        if not isinstance(destination, DicomDestination) or not destination.commit:
            return _POLL_SECONDS
        with self._database.read() as session:
            now = self._database.now(session)
            if not commitments.any_due(session, self._name, now=now):
                return _POLL_SECONDS
            if pauses.is_paused(session, self._name):
                return _POLL_SECONDS
        transaction_uid = f"2.25.{uuid.uuid4().int}"
        with self._database.write() as session:
            asked = commitments.claim(
                session,
                self._name,
                transaction_uid=transaction_uid,
                timeout_seconds=self._settings.commitment_timeout_seconds,
                now=self._database.now(session),
                limit=_MOST_AT_ONCE,
            )
        if not asked:
            return _POLL_SECONDS
        try:
            self._ask(peer_of(destination, settings), transaction_uid, asked)
        except PeerError as error:
            return self._put_off(asked, f"storage commitment could not be asked for: {error}")
        self._failures = 0
        return 0.0

    def _ask(self, peer: Peer, transaction_uid: str, asked: Sequence[Asked]) -> None:
        """Send the N-ACTION and stay for a moment, in case the answer comes at once.

        Raises:
            PeerError: the destination cannot be asked.
        """
        answered = threading.Event()

        def on_report(event: Event) -> tuple[int, Dataset | None]:
            status = record_answer(event, self._database)
            answered.set()
            return status, None

        references = [_reference(each) for each in asked]
        handlers = [(evt.EVT_N_EVENT_REPORT, on_report)]
        with associated(peer, [messages.CONTEXT], handlers=handlers) as sender:
            status = sender.act(
                messages.request(transaction_uid, references),
                messages.REQUEST,
                messages.PUSH_MODEL,
                messages.PUSH_MODEL_INSTANCE,
            )
            if status != 0:
                raise PeerError(f"it answered with status {status:04X}")
            answered.wait(_LINGER_SECONDS)

    def _put_off(self, asked: Sequence[Asked], reason: str) -> float:
        self._failures += 1
        delay = self._backoff.delay(self._failures)
        seconds = delay.total_seconds()
        _log.warning("Destination %s: %s; again in %.0f s.", self._name, reason, seconds)
        with self._database.write() as session:
            now = self._database.now(session)
            commitments.note_failure(session, asked, reason=reason, at=now + delay, now=now)
        return min(seconds, timedelta(minutes=1).total_seconds())


def _reference(asked: Asked) -> tuple[str, str]:
    """Return class and UID as the destination knows the object."""
    if asked.sent_as is None:
        return asked.sop_class_uid, asked.sop_instance_uid
    return str(ComprehensiveSRStorage), asked.sent_as
