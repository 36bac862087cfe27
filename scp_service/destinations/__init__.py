"""The kinds of destination: how each is reached, and what its answers mean.

A kind is one class of settings (`settings.destinations`, named in its `KINDS`), one file here with
a `Connector`, and one line in the registry below. `scp_service.deliver` asks for the connector of a
destination, opens a connection, and sends parcels over it one by one:

    with connector(destination, settings).connected(store) as connection:
        answer = connection.send(parcel)

Leases, batches, pauses between attempts and the history are the lane's; a kind knows none of them.
It says `PeerError` where the destination as a whole cannot be used, and an `Answer` where it has
spoken about one object. A destination gets the results whose kind stands in its `objects`: `sr` and
`sc` are DICOM files, `json` is the result document of a report.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from scp_service.answer import Answer, Outcome, PeerError
from scp_service.destinations.connector import Connection, Connector
from scp_service.destinations.dicom import DicomConnector
from scp_service.destinations.dicomweb import DicomwebConnector
from scp_service.destinations.fhir.connector import FhirConnector
from scp_service.destinations.hl7.connector import Hl7Connector
from scp_service.destinations.sink import SinkConnector
from scp_service.destinations.webhook import WebhookConnector
from settings import (
    Destination,
    DicomDestination,
    DicomwebDestination,
    FhirDestination,
    Hl7Destination,
    Settings,
    WebhookDestination,
)
from settings.destinations.sink import SinkDestination

__all__ = ["Answer", "Connection", "Connector", "Outcome", "PeerError", "connector"]

CONNECTORS: Mapping[type[Destination], Callable[[Any, Settings], Connector]] = {
    DicomDestination: DicomConnector,
    DicomwebDestination: DicomwebConnector,
    Hl7Destination: Hl7Connector,
    FhirDestination: FhirConnector,
    WebhookDestination: WebhookConnector,
    SinkDestination: SinkConnector,
}


def connector(destination: Destination, settings: Settings) -> Connector:
    """Return how a configured destination is reached."""
    return CONNECTORS[type(destination)](destination, settings)
