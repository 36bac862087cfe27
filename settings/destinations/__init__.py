"""Who gets results, and which: one class for each kind of destination.

A new kind is a subclass of `Destination` in a file of its own and a line in `KINDS`; how it is
reached stands in `scp_service.destinations`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, SerializeAsAny

from settings.destinations.base import Destination
from settings.destinations.dicom import DicomDestination
from settings.destinations.dicomweb import DicomwebDestination
from settings.destinations.fhir import FhirDestination
from settings.destinations.hl7 import Hl7Destination
from settings.destinations.imaging import ImagingDestination
from settings.destinations.webhook import WebhookDestination
from settings.kinds import class_among

__all__ = [
    "KINDS",
    "AnyDestination",
    "Destination",
    "DicomDestination",
    "DicomwebDestination",
    "FhirDestination",
    "Hl7Destination",
    "ImagingDestination",
    "WebhookDestination",
    "class_of",
]

KINDS: dict[str, type[Destination]] = {
    "dicom": DicomDestination,
    "dicomweb": DicomwebDestination,
    "hl7": Hl7Destination,
    "fhir": FhirDestination,
    "webhook": WebhookDestination,
}
"""The kinds by the value of their key `kind`, in the order of the template."""


def class_of(values: Mapping[str, object]) -> type[Destination]:
    """Return the class of a destination's kind; without the key it is a DICOM peer.

    Raises:
        ValueError: there is no such kind.
    """
    return class_among(KINDS, "destination", values)


def _of_its_kind(value: object) -> object:
    return class_of(value).model_validate(value) if isinstance(value, Mapping) else value


AnyDestination = Annotated[SerializeAsAny[Destination], BeforeValidator(_of_its_kind)]
