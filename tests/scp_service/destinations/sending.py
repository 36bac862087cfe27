"""Parcels for the tests of destinations, and certificates for those that speak TLS."""

from __future__ import annotations

import itertools
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import trustme

from db.deliveries import Parcel
from db.files import FileStore
from db.queue import Lease
from db.states import TaskKind
from scp_service.answer import Answer
from scp_service.destinations.connector import Connection
from scp_service.destinations.registry import connector
from settings import Settings, load

NOON = datetime(2024, 3, 11, 12, tzinfo=UTC)
_numbers = itertools.count(1)


def parcel(store: FileStore, data: bytes, **values: Any) -> Parcel:
    """Keep a file and wrap it up for sending: a document, unless `values` say another object."""
    number = next(_numbers)
    usual = {
        "lease": Lease(number, TaskKind.DELIVER, number, "it", 1, 1, NOON, NOON),
        "delivery_id": number,
        "study_id": number,
        "kind": "json",
        "sop_class_uid": "",
        "sop_instance_uid": f"2.25.{number}",
        "transfer_syntax_uid": "",
        "path": store.write_result(f"{number}.json", data, NOON),
    }
    return Parcel(**{**usual, **values})


def settings_for(kind: str, timeout_seconds: float = 5, **values: Any) -> Settings:
    """Return settings with one destination, named "it"."""
    destination = {"name": "it", "kind": kind, **values}
    given = {"destinations": [destination], "delivery.timeout_seconds": timeout_seconds}
    return load(given, environ={}).settings


@contextmanager
def connected(settings: Settings, store: FileStore) -> Iterator[Connection]:
    """Open a connection to the destination "it"."""
    with connector(settings.destinations[0], settings).connected(store) as connection:
        yield connection


def send(settings: Settings, store: FileStore, *parcels: Parcel) -> list[Answer]:
    """Send parcels over one connection to the destination "it"."""
    with connected(settings, store) as connection:
        return [connection.send(each) for each in parcels]


def probe(settings: Settings) -> None:
    """Ask whether the destination "it" is there."""
    connector(settings.destinations[0], settings).probe()


class Certificates:
    """An authority of its own, a server's certificate and a client's, as files in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._authority = trustme.CA()
        self.ca = folder / "ca.pem"
        self._authority.cert_pem.write_to_path(str(self.ca))
        self.client = folder / "client.pem"
        client = self._authority.issue_cert("hilum@example.org")
        client.private_key_and_cert_chain_pem.write_to_path(str(self.client))

    def server(self, *, asks_for_certificate: bool = False) -> ssl.SSLContext:
        """Return a server's context for 127.0.0.1."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._authority.issue_cert("127.0.0.1").configure_cert(context)
        if asks_for_certificate:
            context.verify_mode = ssl.CERT_REQUIRED
            self._authority.configure_trust(context)
        return context
