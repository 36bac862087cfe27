"""Delivery by C-STORE: one association, the kept files as they are or in a form the peer takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from pydicom.uid import (
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    ExplicitVRLittleEndian,
    GrayscaleSoftcopyPresentationStateStorage,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    SecondaryCaptureImageStorage,
)

from db.deliveries import Parcel
from db.files import FileStore
from scp_service.answer import Answer, Outcome, PeerError
from scp_service.destinations.adapt import adapt, forms
from scp_service.destinations.connector import PROBE_SECONDS
from scp_service.store_scu import VERIFICATION, Peer, Response, Sender, associated
from settings import DicomDestination, Settings

_UNCOMPRESSED = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)

CONTEXTS: tuple[tuple[str, str], ...] = tuple(
    (str(sop_class), str(syntax))
    for sop_class, syntaxes in (
        (Comprehensive3DSRStorage, _UNCOMPRESSED),
        (ComprehensiveSRStorage, _UNCOMPRESSED),
        (SecondaryCaptureImageStorage, (JPEGBaseline8Bit, *_UNCOMPRESSED)),
        (GrayscaleSoftcopyPresentationStateStorage, _UNCOMPRESSED),
    )
    for syntax in syntaxes
)
"""What we propose: every form of every object, each in a presentation context of its own, so that
the peer's answer tells exactly which it takes."""


def peer_of(destination: DicomDestination, settings: Settings) -> Peer:
    """Return how a destination is called."""
    return Peer(
        destination.host,
        destination.port,
        destination.ae_title,
        destination.calling_ae_title or settings.listener.ae_title,
        settings.delivery.timeout_seconds,
        destination.tls,
    )


class DicomConnector:
    """A peer that is called for an association."""

    def __init__(self, destination: DicomDestination, settings: Settings) -> None:
        self._peer = peer_of(destination, settings)
        self._commit = destination.commit
        self._contexts = [
            (sop_class, syntax)
            for sop_class, syntax in CONTEXTS
            if destination.sr == "comprehensive_3d" or sop_class != Comprehensive3DSRStorage
        ]

    @property
    def where(self) -> str:
        """AE title, host and port."""
        return f"{self._peer.ae_title} at {self._peer.host}:{self._peer.port}"

    @contextmanager
    def connected(self, store: FileStore) -> Iterator[DicomConnection]:
        """Associate for all that we send.

        Raises:
            PeerError: the peer cannot be reached, or it rejects the association.
        """
        with associated(self._peer, self._contexts) as sender:
            yield DicomConnection(sender, store, commit=self._commit)

    def probe(self) -> None:
        """C-ECHO.

        Raises:
            PeerError: the peer cannot be reached, rejects the association or answers a failure.
        """
        peer = replace(self._peer, timeout_seconds=PROBE_SECONDS)
        with associated(peer, [(VERIFICATION, str(ImplicitVRLittleEndian))]) as sender:
            status = sender.echo()
        if status != 0:
            raise PeerError(f"it answered with status {status:04X}")


class DicomConnection:
    """An established association."""

    def __init__(self, sender: Sender, store: FileStore, *, commit: bool) -> None:
        self._sender = sender
        self._store = store
        self._commit = commit

    def send(self, parcel: Parcel) -> Answer:
        """Send an object in the first of its forms that the peer accepts.

        Raises:
            PeerError: the peer went away or did not answer in time.
        """
        return replace(self._send(parcel), commit=self._commit)

    def _send(self, parcel: Parcel) -> Answer:
        kept = (parcel.sop_class_uid, parcel.transfer_syntax_uid)
        for form in forms(*kept):
            if not self._sender.accepts(form.sop_class_uid, form.transfer_syntax_uid):
                continue
            if (form.sop_class_uid, form.transfer_syntax_uid) == kept:
                with self._store.near(parcel.path, parcel.file_sha256) as path:
                    return answer_to(self._sender.store(path))
            dataset = adapt(self._store.read(parcel.path, parcel.file_sha256), form)
            uid = str(dataset.SOPInstanceUID)
            sent_as = uid if uid != parcel.sop_instance_uid else None
            return answer_to(self._sender.store(dataset), sent_as)
        return Answer(Outcome.REFUSED, "it accepts this SOP class in no form that we can send")


def answer_to(response: Response, sent_as: str | None = None) -> Answer:
    """Tell what a C-STORE response means (PS3.4 B.2.3)."""
    if response.stored:
        return Answer(Outcome.STORED, status=response.status, sent_as=sent_as)
    outcome = Outcome.TEMPORARY if response.temporary else Outcome.REFUSED
    comment = f": {response.comment}" if response.comment else ""
    return Answer(outcome, f"status {response.status:04X}{comment}", response.status)
