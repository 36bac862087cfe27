"""What each kind of destination offers to the lane that sends to it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from db.deliveries import Parcel
from db.files import FileStore
from scp_service.answer import Answer

PROBE_SECONDS = 5.0
"""How long a person waits for a probe's answer."""


class Connection(Protocol):
    """An open way to a destination; used by one thread."""

    def send(self, parcel: Parcel) -> Answer:
        """Send one object and return what the destination answered.

        Raises:
            PeerError: the destination went away or did not answer in time.
            Exception: any other means that the stored object itself cannot be sent.
        """
        ...


class Connector(Protocol):
    """One configured destination, as its kind reaches it."""

    @property
    def where(self) -> str:
        """Whom and where it calls, for people: `PACS at 10.0.0.1:104`. No secrets."""
        ...

    def connected(self, store: FileStore) -> AbstractContextManager[Connection]:
        """Open a connection, over which as many of the store's files go as there are.

        Raises:
            PeerError: the destination cannot be reached, or it refuses to talk.
        """
        ...

    def probe(self) -> None:
        """Ask whether the destination is there, without sending it anything that it keeps.

        Raises:
            PeerError: it does not answer, or not as it should.
        """
        ...
