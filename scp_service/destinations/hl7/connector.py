"""Delivery of reports as HL7 v2 messages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from db.deliveries import Parcel
from db.files import FileStore
from scp_service.answer import Answer, PeerError
from scp_service.destinations.connector import PROBE_SECONDS
from scp_service.destinations.document import read_document
from scp_service.destinations.hl7.acknowledgement import answer_to, read_acknowledgement
from scp_service.destinations.hl7.message import Envelope, control_id, oru
from scp_service.destinations.hl7.mllp import Mllp
from scp_service.tls import TlsError, client_context
from settings import Hl7Destination, Settings


class Hl7Connector:
    """A receiver of ORU^R01 messages."""

    def __init__(self, destination: Hl7Destination, settings: Settings) -> None:
        self._destination = destination
        self._timeout = settings.delivery.timeout_seconds

    @property
    def where(self) -> str:
        """Scheme, host and port."""
        scheme = "mllps" if self._destination.tls.enabled else "mllp"
        return f"{scheme}://{self._destination.host}:{self._destination.port}"

    @contextmanager
    def connected(self, store: FileStore) -> Iterator[Hl7Connection]:
        """Connect for all that we send.

        Raises:
            PeerError: the receiver cannot be reached, or TLS cannot be agreed on.
        """
        with self._mllp(self._timeout) as mllp:
            yield Hl7Connection(mllp, self._destination, store)

    def probe(self) -> None:
        """Connect and hang up: a message would be taken for a result.

        Raises:
            PeerError: the receiver cannot be reached, or TLS cannot be agreed on.
        """
        with self._mllp(PROBE_SECONDS):
            pass

    def _mllp(self, timeout_seconds: float) -> Mllp:
        destination, tls = self._destination, self._destination.tls
        try:
            context = client_context(tls) if tls.enabled else None
        except TlsError as error:
            raise PeerError(str(error)) from None
        server_name = tls.server_name or destination.host
        return Mllp(destination.host, destination.port, context, server_name, timeout_seconds)


class Hl7Connection:
    """A connection on which each message is acknowledged before the next one is sent."""

    def __init__(self, mllp: Mllp, destination: Hl7Destination, store: FileStore) -> None:
        self._mllp = mllp
        self._store = store
        self._envelope = Envelope(
            sending_application=destination.sending_application,
            sending_facility=destination.sending_facility,
            receiving_application=destination.receiving_application,
            receiving_facility=destination.receiving_facility,
            processing_id=destination.processing_id,
            version=destination.version,
            charset=destination.charset,
            accession_fields=destination.accession_fields,
        )

    def send(self, parcel: Parcel) -> Answer:
        """Send a document as a message.

        Raises:
            PeerError: the receiver went away, did not answer in time, or answered something that
                is no acknowledgement of this message.
        """
        document = read_document(self._store.read(parcel.path, parcel.file_sha256))
        block = self._mllp.exchange(oru(document, self._envelope))
        try:
            said = read_acknowledgement(block)
        except ValueError:
            raise PeerError("it answered something that is no acknowledgement") from None
        if said.control_id != control_id(document):
            raise PeerError("it acknowledged another message than the one that was sent")
        return answer_to(said)
