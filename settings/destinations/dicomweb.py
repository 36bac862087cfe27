"""A PACS, a viewer or an archive that takes DICOM objects by HTTP."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from settings.destinations.imaging import ImagingDestination
from settings.web import Url, WebPeer


class DicomwebDestination(WebPeer, ImagingDestination):
    """A DICOMweb server that gets results by STOW-RS."""

    kind: Literal["dicomweb"] = Field(
        "dicomweb", description="How results are sent: by STOW-RS (PS3.18 10.5)."
    )
    url: Url = Field(
        description="Its DICOMweb root, which /studies is below.",
        examples=["https://127.0.0.1/dicom-web"],
    )
