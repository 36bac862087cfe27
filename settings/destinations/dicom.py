"""A PACS, a viewer or a router that takes DICOM objects over an association."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from settings.destinations.imaging import ImagingDestination
from settings.fields import AETitle, Port
from settings.tls import ClientTls, Trust


class DicomDestination(ImagingDestination):
    """A peer that gets results by C-STORE."""

    kind: Literal["dicom"] = Field("dicom", description="How results are sent: by C-STORE.")
    ae_title: AETitle = Field(description="The AE title to call.", examples=["PACS"])
    host: str = Field(description="Host name or address.", min_length=1, examples=["127.0.0.1"])
    port: Port = Field(description="TCP port.", examples=[4242])
    calling_ae_title: AETitle | None = Field(
        None, description="The AE title we call from; unset: listener.ae_title."
    )
    commit: bool = Field(
        False, description="Ask it to commit itself to the storage of what it got (PS3.4 annex J)."
    )
    tls: ClientTls = ClientTls.model_construct()

    @property
    def trust(self) -> Trust | None:
        """The keys of `tls`, where that is enabled."""
        return self.tls if self.tls.enabled else None
