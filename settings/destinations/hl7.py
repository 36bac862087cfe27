"""A RIS or an integration engine that takes HL7 v2 messages."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from settings.destinations.base import Destination
from settings.fields import DocumentKind, Port
from settings.tls import ClientTls, Trust

AccessionField = Literal["OBR-2", "OBR-3", "OBR-18"]


class Hl7Destination(Destination):
    """A receiver of HL7 v2 ORU^R01 messages over MLLP."""

    kind: Literal["hl7"] = Field("hl7", description="How results are sent: as HL7 v2 messages.")
    objects: tuple[DocumentKind, ...] = Field(
        ("json",), min_length=1, max_length=1, description="It gets reports, made from documents."
    )
    host: str = Field(description="Host name or address.", min_length=1, examples=["127.0.0.1"])
    port: Port = Field(description="TCP port.", examples=[2575])
    version: Literal["2.4", "2.5", "2.5.1"] = Field("2.5.1", description="HL7 version (MSH-12).")
    charset: Literal["ASCII", "8859/1", "8859/15", "UNICODE UTF-8"] = Field(
        "UNICODE UTF-8", description="Character set (MSH-18); what it lacks becomes ?."
    )
    processing_id: Literal["P", "T", "D"] = Field(
        "P", description="Production, training or debugging (MSH-11)."
    )
    sending_application: str = Field("HILUM", description="MSH-3.")
    sending_facility: str = Field("", description="MSH-4.")
    receiving_application: str = Field("", description="MSH-5.")
    receiving_facility: str = Field("", description="MSH-6.")
    accession_fields: tuple[AccessionField, ...] = Field(
        ("OBR-3", "OBR-18"),
        min_length=1,
        description="Where the accession number stands; ORC-2 and ORC-3 follow OBR-2 and OBR-3.",
    )
    tls: ClientTls = ClientTls.model_construct()

    @property
    def trust(self) -> Trust | None:
        """The keys of `tls`, where that is enabled."""
        return self.tls if self.tls.enabled else None
