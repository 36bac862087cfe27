"""We as SCP: peers ask whether we keep what they sent, and our digests answer.

A request is in the database before it is acknowledged. The answer goes over its association while
that is open, else over one to the peer's own listener, until the peer acknowledges it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta

from pydicom import Dataset
from pynetdicom import build_role
from pynetdicom.association import Association
from pynetdicom.events import Event
from sqlalchemy.exc import SQLAlchemyError

from db import commitments
from db.commitments import Held, Request
from db.files import AwayError, FileStore
from db.session import Database
from scp_service.answer import PeerError
from scp_service.commitment import messages
from scp_service.commitment.messages import ActionStatus, FailureReason, Verdict
from scp_service.store_scu import Peer, Sender, associated, sender_over
from settings import DicomDestination, Settings

_log = logging.getLogger(__name__)

_POLL_SECONDS = 1.0
_OWN_SECONDS = 30.0
"""How long a request is left to the listener that took it, and that holds its association."""
_GRACE_SECONDS = 1.0
_LEASE_SECONDS = 300.0
_GIVEN_UP_AFTER = timedelta(days=7)


class Answerer:
    """Takes requests and answers them, in a thread of its own."""

    def __init__(
        self, current: Callable[[], Settings], database: Database, store: FileStore
    ) -> None:
        """`current` tells who are the peers and destinations of each moment."""
        self._current = current
        self._database = database
        self._store = store
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._guard = threading.Lock()
        self._associations: dict[int, Association] = {}
        self._thread = threading.Thread(target=self._run, name="commitments", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop; what is not answered waits in the database."""
        self._stop.set()
        self._wake.set()
        self._thread.join()

    def handle_action(self, event: Event) -> tuple[int, Dataset | None]:
        """Answer an N-ACTION: success means that the request is durable (PS3.4 J.3.2)."""
        if event.action_type != messages.REQUEST:
            return ActionStatus.NO_SUCH_ACTION, None
        asked_of = getattr(event.request, "RequestedSOPInstanceUID", None)
        if asked_of != messages.PUSH_MODEL_INSTANCE:
            return ActionStatus.NO_SUCH_INSTANCE, None
        try:
            transaction_uid, references = messages.read_request(event.action_information)
        except messages.MessageError as error:
            _log.warning("A request for storage commitment cannot be used: %s.", error)
            return ActionStatus.INVALID_ARGUMENT, None
        if len(references) > messages.MOST_REFERENCES:
            return ActionStatus.RESOURCE_LIMITATION, None
        try:
            request_id = self._keep(event, transaction_uid, references)
        except SQLAlchemyError as error:
            _log.error("A storage commitment was not taken (%s).", type(error).__name__)
            return ActionStatus.PROCESSING_FAILURE, None
        with self._guard:
            self._associations[request_id] = event.assoc
        self._wake.set()
        return ActionStatus.SUCCESS, None

    def _keep(
        self, event: Event, transaction_uid: str, references: Sequence[tuple[str, str]]
    ) -> int:
        requestor, asked = event.assoc.requestor, event.assoc.requestor.primitive
        called = asked.called_ae_title if asked else self._current().listener.ae_title
        with self._database.write() as session:
            now = self._database.now(session)
            return commitments.open_request(
                session,
                transaction_uid=transaction_uid,
                peer_ae=requestor.ae_title.strip(),
                peer_address=requestor.address,
                called_ae=called.strip(),
                references=references,
                answer_at=now + timedelta(seconds=_OWN_SECONDS),
                now=now,
            )

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                while not self._stop.is_set() and self._answer_one():
                    pass
            except SQLAlchemyError as error:
                _log.error("Commitments wait: the database failed (%s).", type(error).__name__)
            except AwayError as error:
                _log.error("Commitments wait: %s.", error)
            self._wake.wait(_POLL_SECONDS)
            self._wake.clear()

    def _answer_one(self) -> bool:
        """Answer a request of our own or one that is due; return whether there was one."""
        with self._guard:
            ours = list(self._associations)
        with self._database.write() as session:
            request = commitments.take_request(
                session, ids=ours, lease_seconds=_LEASE_SECONDS, now=self._database.now(session)
            )
        if request is None:
            with self._guard:  # another listener has answered what is left of ours
                for each in ours:
                    self._associations.pop(each, None)
            return False
        with self._guard:
            association = self._associations.pop(request.id, None)
        verdicts = self._judge(request)
        try:
            self._send(request, verdicts, association)
        except PeerError as error:
            self._put_off(request, error)
            return True
        with self._database.write() as session:
            commitments.close_request(session, request.id)
        failed = sum(each.failure is not None for each in verdicts)
        _log.info("Committed to %d instances, not to %d.", len(verdicts) - failed, failed)
        return True

    def _judge(self, request: Request) -> list[Verdict]:
        with self._database.read() as session:
            held = commitments.held(session, [uid for _, uid in request.references])
        return [
            Verdict(sop_class, uid, self._failure(sop_class, held.get(uid, [])))
            for sop_class, uid in request.references
        ]

    def _failure(self, sop_class_uid: str, copies: Sequence[Held]) -> FailureReason | None:
        """Return why we do not commit ourselves to an instance; None where a copy is whole."""
        if not copies:
            return FailureReason.NO_SUCH_INSTANCE
        of_class = [copy for copy in copies if copy.sop_class_uid == sop_class_uid]
        if not of_class:
            return FailureReason.CLASS_INSTANCE_CONFLICT
        if any(self._store.digest(copy.path) == copy.file_sha256 for copy in of_class):
            return None
        _log.error("A film's file is missing or damaged: its storage is not committed to.")
        return FailureReason.PROCESSING_FAILURE

    def _send(
        self, request: Request, verdicts: Sequence[Verdict], association: Association | None
    ) -> None:
        """Send the N-EVENT-REPORT over an open association, else over a new one.

        Raises:
            PeerError: it did not reach the peer, or the peer does not take it.
        """
        if association is not None and self._stays(association):
            try:
                _report(sender_over(association), request, verdicts)
                return
            except PeerError:
                _log.info("An association ended before its storage commitment was answered.")
        role = build_role(messages.PUSH_MODEL, scp_role=True)
        with associated(self._peer(request), [messages.CONTEXT], roles=[role]) as sender:
            _report(sender, request, verdicts)

    def _stays(self, association: Association) -> bool:
        """Tell whether a peer waits for the answer: most release as soon as they have asked."""
        return not self._stop.wait(_GRACE_SECONDS) and association.is_established

    def _peer(self, request: Request) -> Peer:
        """Return where a peer listens: as its entry in `peers` or `destinations` says.

        Raises:
            PeerError: neither says it.
        """
        settings = self._current()
        timeout = settings.delivery.timeout_seconds
        ours = request.called_ae
        peer = settings.peer(request.peer_ae, request.peer_address)
        if peer is not None and peer.port is not None:
            host = request.peer_address
            return Peer(host, peer.port, request.peer_ae, ours, timeout, peer.tls)
        for each in settings.destinations:
            if isinstance(each, DicomDestination) and each.ae_title == request.peer_ae:
                return Peer(each.host, each.port, each.ae_title, ours, timeout, each.tls)
        raise PeerError("its entry in peers has no port, so it cannot be called back")

    def _put_off(self, request: Request, error: PeerError) -> None:
        with self._database.write() as session:
            wait = commitments.put_off_request(
                session, request.id, longest=_GIVEN_UP_AFTER, now=self._database.now(session)
            )
        then = "it is given up" if wait is None else f"again in {wait.total_seconds():.0f} s"
        _log.warning(
            "A storage commitment for %s was not answered: %s; %s.", request.peer_ae, error, then
        )


def _report(sender: Sender, request: Request, verdicts: Sequence[Verdict]) -> None:
    """Send the answer.

    Raises:
        PeerError: it did not arrive, or the peer does not take it.
    """
    event_type, information = messages.answer(request.transaction_uid, verdicts)
    status = sender.report(
        information, event_type, messages.PUSH_MODEL, messages.PUSH_MODEL_INSTANCE
    )
    if status != 0:
        raise PeerError(f"it answered with status {status:04X}")
