"""What the connectors of destinations with a URL have in common: where they call, and how."""

from __future__ import annotations

from typing import Generic, TypeVar

from scp_service.destinations.connector import PROBE_SECONDS
from scp_service.web import Web
from settings import Settings, WebPeer

Configured = TypeVar("Configured", bound=WebPeer)


class UrlConnector(Generic[Configured]):
    """A destination that is called by HTTP; its kind says what is sent, and how it is probed."""

    def __init__(self, destination: Configured, settings: Settings) -> None:
        self._destination = destination
        self._timeout = settings.delivery.timeout_seconds

    @property
    def where(self) -> str:
        """Its URL, which holds no secret."""
        return self._destination.url

    def _calls(self) -> Web:
        """Return what objects are sent over.

        Raises:
            PeerError: a certificate or a secret cannot be had.
        """
        return Web(self._destination, self._timeout)

    def _probes(self) -> Web:
        """Return what a person has it asked over.

        Raises:
            PeerError: a certificate or a secret cannot be had.
        """
        return Web(self._destination, PROBE_SECONDS)
