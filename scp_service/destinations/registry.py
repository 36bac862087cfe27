"""Every kind of destination; the listener, which needs one alone, leaves this alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from scp_service.destinations.connector import Connector
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
