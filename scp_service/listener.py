"""The Storage SCP: who may associate, what is accepted, and the server that runs it."""

from __future__ import annotations

import functools
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from enum import Enum
from ipaddress import ip_address
from typing import Any

from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
)
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.events import Event

import metrics
from db.files import FileStore
from db.session import Database
from scp_service.audited import Refusals
from scp_service.budget import Budget
from scp_service.commitment.answering import Answerer
from scp_service.commitment.asking import record_answer
from scp_service.commitment.messages import PUSH_MODEL
from scp_service.crew import LOOPBACK, Shared
from scp_service.guard import Guard
from scp_service.proxied import Balancers
from scp_service.receive import handle_store, receiving, store_straight
from scp_service.server import Server
from scp_service.straight import Store
from scp_service.tls_server import TlsServer
from settings import DicomDestination, Settings
from settings.destinations.sink import SELF_TEST_AE
from settings.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

_log = logging.getLogger(__name__)

SOP_CLASSES = (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    SecondaryCaptureImageStorage,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
)
VERIFICATION = "1.2.840.10008.1.1"
_CALLED_WRONGLY = (0x01, 0x07)
_REASONS: dict[tuple[int | None, int | None], str] = {
    _CALLED_WRONGLY: "called_ae_not_recognised",
    (0x03, 0x02): "local_limit_exceeded",
}
"""What pynetdicom rejects by itself, by source and diagnostic (PS3.8 9.3.4)."""
_DRAIN_SECONDS = 10.0


class Rejection(Enum):
    """Why we reject an association: result, source and reason of A-ASSOCIATE-RJ (PS3.8 9.3.4).

    pynetdicom adds "called AE title not recognised", the guard "local limit exceeded".
    """

    CALLING_AE_NOT_RECOGNISED = (0x01, 0x01, 0x03)
    TEMPORARY_CONGESTION = (0x02, 0x03, 0x01)


@contextmanager
def listening(
    settings: Settings,
    database: Database,
    store: FileStore,
    current: Callable[[], Settings] | None = None,
    shared: Shared | None = None,
) -> Iterator[Server]:
    """Listen until the context ends; associations under way then get time to finish.

    What a listener that was killed had not acknowledged is removed first. `current` tells who are
    the peers and destinations of each moment; by default they are those of `settings`. `shared` is
    what other processes have in common with this one that listen on the same ports.

    Raises:
        OSError: a port is taken or may not be used.
        TlsError: a certificate, key or CA file cannot be used.
    """
    current = current or (lambda: settings)
    if not current().peers:
        _log.warning("No peers are configured: ANYONE who reaches the port may send films.")

    with (
        receiving(settings, database, store) as receiver,
        closing(Answerer(current, database, store)) as answerer,
    ):
        refusals = Refusals(receiver.trail)
        handlers = [
            (evt.EVT_REQUESTED, _admit, [current, store, refusals]),
            (evt.EVT_REJECTED, _tell_rejected, [refusals]),
            (evt.EVT_C_STORE, handle_store, [receiver]),
            (evt.EVT_C_ECHO, lambda _event: 0x0000),
            (evt.EVT_N_ACTION, answerer.handle_action),
            (evt.EVT_N_EVENT_REPORT, lambda event: (record_answer(event, database), None)),
        ]
        store_film = functools.partial(store_straight, receiver=receiver)
        with _serving(settings, handlers, store_film, refusals, shared) as server:
            title = settings.listener.ae_title
            _log.info("Listening on port %d as %s.", settings.listener.port, title)
            yield server


@contextmanager
def _serving(
    settings: Settings,
    handlers: list[Any],
    store_film: Store,
    refusals: Refusals,
    shared: Shared | None,
) -> Iterator[Server]:
    """Serve on every port; yields the server of the port without TLS."""
    servers: list[Server] = []
    guard = Guard(settings.listener, refusals.add)
    try:
        for server in _servers(settings, handlers, store_film, guard, shared):
            servers.append(server)
        for server in servers:
            threading.Thread(target=server.serve, name="accept", daemon=True).start()
        try:
            yield servers[0]
        finally:
            for server in servers:
                server.shutdown()
    finally:
        for server in servers:
            server.server_close()  # at once: a sender that comes now must try another listener
        guard.close()
        _drain(servers)


def _servers(
    settings: Settings,
    handlers: list[Any],
    store_film: Store,
    guard: Guard,
    shared: Shared | None,
) -> Iterator[Server]:
    """Bind the ports, first the one without TLS.

    Raises:
        OSError: a port is taken or may not be used.
        TlsError: a certificate, key or CA file cannot be used.
    """
    listener = settings.listener
    ae = application_entity(settings)
    processes = 1 if shared is None else shared.census.processes
    given: dict[str, Any] = {
        "guard": guard,
        "limits": listener,
        "budget": Budget(
            listener.max_buffered_bytes // processes,
            listener.max_associations,
            listener.pdu_timeout_seconds,
        ),
        "shared": shared,
        "store": store_film,
        "per_address": settings.associations_per_address,
        "ae": ae,
        "ae_title": ae.ae_title,
        "contexts": ae.supported_contexts,
        "evt_handlers": handlers,
    }
    host = LOOPBACK if listener.tls.only else listener.host
    yield Server(address=(host, listener.port), **given)
    if listener.tls.enabled:
        yield TlsServer(listener.tls, address=(listener.host, listener.tls.port), **given)
        _log.info("Listening for TLS on port %d.", listener.tls.port)


def application_entity(settings: Settings) -> AE:
    """Return what we are as an acceptor: limits, SOP classes, transfer syntaxes and roles."""
    listener = settings.listener
    ae = AE(listener.ae_title)
    ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    ae.maximum_pdu_size = listener.max_pdu_bytes
    ae.maximum_associations = listener.max_associations
    ae.acse_timeout = listener.acse_timeout_seconds
    ae.dimse_timeout = listener.dimse_timeout_seconds
    ae.network_timeout = listener.network_timeout_seconds
    ae.require_called_aet = not listener.any_called_ae_title
    for sop_class in SOP_CLASSES:
        ae.add_supported_context(sop_class, list(listener.transfer_syntaxes))
    ae.add_supported_context(VERIFICATION)
    # A peer may ask for commitment (SCU, as default), or report one that we asked for (SCP).
    ae.add_supported_context(PUSH_MODEL, scu_role=True, scp_role=True)
    return ae


def _admit(
    event: Event, current: Callable[[], Settings], store: FileStore, refusals: Refusals
) -> None:
    """Reject an association that may not send, or that there is no room for."""
    settings = current()
    requestor = event.assoc.requestor
    calling = requestor.primitive.calling_ae_title.strip() if requestor.primitive else ""
    known = settings.peer(calling, requestor.address) is not None
    commits = not known and _commits(settings, calling, requestor.address)
    ourselves = _is_ourselves(settings, calling, requestor.address)
    balancer = requestor.address in Balancers(settings.listener.proxy_protocol_from)
    if settings.peers and not (known or commits or ourselves or balancer):
        _log.warning("An association from %s was rejected: not a known peer.", requestor.address)
        refusals.add(requestor.address, "its AE title is that of no peer here", calling=calling)
        _reject(event, Rejection.CALLING_AE_NOT_RECOGNISED)
    elif store.free_bytes() < settings.listener.min_free_bytes:
        _log.error("Associations are refused: the data folder is almost full.")
        _reject(event, Rejection.TEMPORARY_CONGESTION)
    elif settings.peers and not (known or ourselves):
        allowed = (PUSH_MODEL, VERIFICATION) if commits else (VERIFICATION,)
        acceptor = event.assoc.acceptor
        acceptor.supported_contexts = [
            context for context in acceptor.supported_contexts if context.abstract_syntax in allowed
        ]


def _commits(settings: Settings, calling: str, address: str) -> bool:
    """Tell whether it is a destination that reports a storage commitment; it may do no more."""
    return any(
        isinstance(each, DicomDestination)
        and each.commit
        and each.ae_title == calling
        and address in _addresses(each.host)
        for each in settings.destinations
    )


def _addresses(host: str) -> set[str]:
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(host, None)}
    except OSError:
        return set()


def _is_ourselves(settings: Settings, calling: str, address: str) -> bool:
    """Tell whether it is our own health check or self-test, from this machine."""
    ours = (settings.listener.ae_title, SELF_TEST_AE)
    return calling in ours and ip_address(address).is_loopback


def _tell_rejected(event: Event, refusals: Refusals) -> None:
    """Count what pynetdicom rejects by itself; the trail tells who calls us by another name."""
    answer, requestor = event.assoc.acceptor.primitive, event.assoc.requestor
    given = (answer.result_source, answer.diagnostic) if answer else (None, None)
    metrics.ASSOCIATIONS_REFUSED.labels(_REASONS.get(given, metrics.OTHER)).inc()
    if given == _CALLED_WRONGLY:
        calling = requestor.primitive.calling_ae_title.strip() if requestor.primitive else ""
        refusals.add(requestor.address, "it calls by an AE title that is not ours", calling=calling)


def _reject(event: Event, rejection: Rejection) -> None:
    metrics.ASSOCIATIONS_REFUSED.labels(rejection.name.lower()).inc()
    event.assoc.acse.send_reject(*rejection.value)
    event.assoc.kill()


def _drain(servers: Sequence[Server]) -> None:
    """Give associations under way time to end, then abort them."""
    deadline = time.monotonic() + _DRAIN_SECONDS
    while (active := _active(servers)) and time.monotonic() < deadline:
        for association in active:
            association.join(0.1)
    for association in _active(servers):
        association.abort()


def _active(servers: Sequence[Server]) -> list[Association]:
    return [association for server in servers for association in server.active_associations]
