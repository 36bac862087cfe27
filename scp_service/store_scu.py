"""C-STORE as a client: one association, stored files sent as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import Dataset
from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.events import Event

from scp_service.answer import PeerError, UntrustedPeerError
from scp_service.sockets import read_our_way, set_options
from scp_service.tls import ClientContext, TlsError, client_context
from scp_service.turns import Turns
from settings import ClientTls
from settings.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

# Files are sent byte for byte: never parsed, never encoded anew.
_config.STORE_SEND_CHUNKED_DATASET = True

VERIFICATION = "1.2.840.10008.1.1"


@dataclass(frozen=True, slots=True)
class Peer:
    """Whom to call: address, AE titles, how long to wait for its answers, and how TLS is done."""

    host: str
    port: int
    ae_title: str
    calling_ae_title: str
    timeout_seconds: float
    tls: ClientTls | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """A C-STORE response: its status and the peer's comment, if it made one."""

    status: int
    comment: str

    @property
    def stored(self) -> bool:
        """Whether the peer keeps the object: success, or a warning (PS3.4 B.2.3)."""
        return self.status == 0x0000 or self.status >> 12 == 0xB

    @property
    def temporary(self) -> bool:
        """Whether the peer lacks resources, so that the same object may pass later."""
        return self.status >> 8 == 0xA7


class Sender:
    """An established association."""

    def __init__(self, association: Association) -> None:
        self._association = association
        self._accepted = {
            (str(context.abstract_syntax), str(context.transfer_syntax[0]))
            for context in association.accepted_contexts
        }
        self._message_id = 0

    def accepts(self, sop_class_uid: str, transfer_syntax_uid: str) -> bool:
        """Tell whether the peer takes this SOP class in this transfer syntax."""
        return (sop_class_uid, transfer_syntax_uid) in self._accepted

    def store(self, film: Path | Dataset) -> Response:
        """Send one file as it is, or one data set.

        Raises:
            PeerError: the peer went away or did not answer in time.
        """
        self._message_id = self._message_id % 0xFFFF + 1
        try:
            response = self._association.send_c_store(film, msg_id=self._message_id)
        except RuntimeError:
            raise PeerError("the association ended") from None
        comment = str(response.get("ErrorComment", "") or "")
        return Response(_status(response), comment.replace("\0", ""))

    def echo(self) -> int:
        """Send a C-ECHO and return its status.

        Raises:
            PeerError: the peer went away or did not answer in time.
        """
        return _status(self._association.send_c_echo())

    def act(
        self, information: Dataset, action_type: int, sop_class_uid: str, sop_instance_uid: str
    ) -> int:
        """Send an N-ACTION and return its status (PS3.7 10.1.4).

        Raises:
            PeerError: the peer went away or did not answer in time.
        """
        send = self._association.send_n_action
        return self._notify(send, information, action_type, sop_class_uid, sop_instance_uid)

    def report(
        self, information: Dataset, event_type: int, sop_class_uid: str, sop_instance_uid: str
    ) -> int:
        """Send an N-EVENT-REPORT and return its status (PS3.7 10.1.1).

        Raises:
            PeerError: the peer went away or did not answer in time.
        """
        send = self._association.send_n_event_report
        return self._notify(send, information, event_type, sop_class_uid, sop_instance_uid)

    def _notify(self, send: Callable[..., tuple[Dataset, Any]], *arguments: object) -> int:
        self._message_id = self._message_id % 0xFFFF + 1
        try:
            status, _ = send(*arguments, msg_id=self._message_id)
        except RuntimeError:
            raise PeerError("the association ended") from None
        return _status(status)


def sender_over(association: Association) -> Sender:
    """Return a sender over an association that the peer has opened."""
    Turns.of(association)
    return Sender(association)


@contextmanager
def associated(
    peer: Peer,
    contexts: Sequence[tuple[str, str]],
    *,
    handlers: Sequence[tuple[Any, ...]] = (),
    roles: Sequence[Any] = (),
) -> Iterator[Sender]:
    """Associate with a peer for (SOP class, transfer syntax) pairs, at most 128.

    `handlers` answer what the peer asks in its turn; `roles` are proposed (PS3.7 D.3.3.4).

    Raises:
        PeerError: it cannot be reached, or it rejects the association.
    """
    association = associate(peer, contexts, handlers=handlers, roles=roles)
    try:
        yield Sender(association)
    finally:
        release(association)


def associate(
    peer: Peer,
    contexts: Sequence[tuple[str, str]],
    *,
    handlers: Sequence[tuple[Any, ...]] = (),
    roles: Sequence[Any] = (),
) -> Association:
    """Open an association as `associated` does, to be ended by `release`."""
    ae = AE(peer.calling_ae_title)
    ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    ae.connection_timeout = ae.acse_timeout = peer.timeout_seconds
    ae.dimse_timeout = ae.network_timeout = peer.timeout_seconds
    for sop_class, syntax in contexts:
        ae.add_requested_context(sop_class, syntax)
    secured = _secured(peer)
    try:
        association = ae.associate(
            peer.host,
            peer.port,
            ae_title=peer.ae_title,
            evt_handlers=[(evt.EVT_CONN_OPEN, _on_open), *handlers],
            ext_neg=list(roles),
            tls_args=secured,
        )
    except OSError as error:
        raise PeerError(f"it cannot be reached ({error.strerror})") from None
    if not association.is_established:
        if secured and secured[0].problem:
            raise UntrustedPeerError(secured[0].problem)
        raise PeerError(_why_not(association))
    Turns.of(association)
    return association


def release(association: Association) -> None:
    """Release what `associate` opened, when the peer's last request has its response."""
    if association.is_established:
        Turns.of(association).end()
        association.release()


def _secured(peer: Peer) -> tuple[ClientContext, str] | None:
    """Return what secures a call, and the name that the peer's certificate must carry."""
    if peer.tls is None or not peer.tls.enabled:
        return None
    try:
        return client_context(peer.tls), peer.tls.server_name or peer.host
    except TlsError as error:
        raise PeerError(str(error)) from None


def _on_open(event: Event) -> None:
    connection = event.assoc.dul.socket.socket if event.assoc.dul.socket else None
    if connection is not None:
        set_options(connection)
        # A peer with Nagle's algorithm on would hold its response back for a late acknowledgement.
        read_our_way(event, event.assoc.ae.maximum_pdu_size)


def _why_not(association: Association) -> str:
    if association.is_rejected:
        answer = association.acceptor.primitive
        reason = answer.reason_str if answer is not None else "no reason given"
        kind = answer.result_str.lower() if answer is not None else "rejected"
        return f"it rejected the association ({kind}: {reason})"
    if association.rejected_contexts:
        return "it accepted none of the presentation contexts"
    return "it cannot be reached, or it aborted the association"


def _status(response: Dataset) -> int:
    if "Status" not in response:
        raise PeerError("it aborted the association or did not answer in time")
    return int(response.Status)
