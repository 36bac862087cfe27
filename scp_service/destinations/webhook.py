"""Delivery to a webhook: the result document as it is, signed by the Standard Webhooks scheme."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from standardwebhooks.webhooks import Webhook

from db.deliveries import Parcel
from db.files import FileStore
from scp_service.answer import Answer, Outcome, PeerError
from scp_service.destinations.by_url import UrlConnector
from scp_service.destinations.document import read_document
from scp_service.web import Web
from settings import WebhookDestination
from settings.destinations.webhook import signing_key
from settings.secrets import SecretError, reveal

_GONE = 410


class WebhookConnector(UrlConnector[WebhookDestination]):
    """A URL that documents are posted to."""

    @contextmanager
    def connected(self, store: FileStore) -> Iterator[WebhookConnection]:
        """Begin to send over connections that stay open.

        Raises:
            PeerError: a certificate or a secret cannot be had.
        """
        signer = self._signer()
        with self._calls() as web:
            yield WebhookConnection(web, signer, store)

    def probe(self) -> None:
        """Ask what may be done with the URL (OPTIONS): any answer shows that somebody is there.

        Raises:
            PeerError: nobody answers, or a certificate or a secret cannot be had.
        """
        self._signer()
        with self._probes() as web:
            web.ask("OPTIONS")

    def _signer(self) -> Webhook:
        try:
            return Webhook(signing_key(reveal(self._destination.secret)))
        except (SecretError, ValueError) as error:
            raise PeerError(f"requests to it cannot be signed: {error}") from None


class WebhookConnection:
    """A receiver that documents are posted to one by one."""

    def __init__(self, web: Web, signer: Webhook, store: FileStore) -> None:
        self._web = web
        self._signer = signer
        self._store = store

    def send(self, parcel: Parcel) -> Answer:
        """Post a document; the same document always has the same id.

        Raises:
            PeerError: the receiver does not answer, or cannot be used as a whole.
        """
        data = self._store.read(parcel.path, parcel.file_sha256)
        name = message_id(read_document(data).report.uid)
        now = datetime.now(UTC)
        headers = {
            "Content-Type": "application/json",
            "webhook-id": name,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._signer.sign(name, now, data.decode("utf-8")),
        }
        reply = self._web.ask("POST", content=data, headers=headers)
        if reply.ok:
            return Answer(Outcome.STORED, status=reply.status)
        if reply.status == _GONE:
            return Answer(Outcome.REJECTED, "it wants no more (HTTP status 410)", reply.status)
        return reply.about_what_was_sent().refusal()


def message_id(report_uid: str) -> str:
    """Return the `webhook-id` of a report's document; a receiver may know a repetition by it."""
    return f"msg_{uuid.uuid5(uuid.NAMESPACE_OID, report_uid).hex}"
