"""An electronic health record that takes FHIR resources."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from settings.destinations.base import Destination
from settings.fields import DocumentKind
from settings.web import Url, WebPeer


class FhirDestination(WebPeer, Destination):
    """A FHIR R4 server that gets a DiagnosticReport with its Observations by REST."""

    kind: Literal["fhir"] = Field("fhir", description="How results are sent: as FHIR resources.")
    objects: tuple[DocumentKind, ...] = Field(
        ("json",), min_length=1, max_length=1, description="It gets reports, made from documents."
    )
    url: Url = Field(description="Its base URL.", examples=["https://127.0.0.1/fhir"])
    patient_system: str | None = Field(
        None, description="URI of its system of Patient IDs; unset: IDs are named without one."
    )
    accession_system: str | None = Field(
        None, description="URI of its system of accession numbers, where it has one."
    )
