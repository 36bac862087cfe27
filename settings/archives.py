"""Where films are fetched from: one class for each kind of archive."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny

from settings.fields import AETitle, Port, Section
from settings.kinds import class_among
from settings.tls import ClientTls, Trust
from settings.web import Url, WebPeer


class Archive(Section):
    """An archive that films are fetched from with `hilum fetch`."""

    name: str = Field(
        description="Our own name for it, unique.",
        min_length=1,
        max_length=64,
        pattern=r"^[\w.-]+$",
    )
    kind: str = Field(description="How it is asked.")
    ae_title: AETitle = Field(description="The source that fetched films are filed under.")
    modalities: tuple[str, ...] = Field(
        ("CR", "DX"), min_length=1, description="Modalities of the series that are fetched."
    )
    studies_per_minute: float = Field(
        30, gt=0, description="How many studies a minute are fetched at most."
    )
    poll_minutes: float = Field(
        0,
        ge=0,
        description="Fetch what is new of yesterday and today every so many minutes, while `hilum"
        " serve` runs; 0: only by `hilum fetch`.",
    )
    timeout_seconds: float = Field(
        120, gt=0, description="Wait for an answer; an archive may have to load films from tape."
    )

    @property
    def trust(self) -> Trust | None:
        """What secures the way to it by TLS; None where nothing does."""
        return None


class DicomArchive(Archive):
    """A PACS that films are fetched from with `hilum fetch`, by C-GET or C-MOVE."""

    kind: Literal["dicom"] = Field("dicom", description="How it is asked: by C-FIND.")
    ae_title: AETitle = Field(
        description="The AE title to call; also the source that fetched films are filed under.",
        examples=["PACS"],
    )
    host: str = Field(description="Host name or address.", min_length=1, examples=["127.0.0.1"])
    port: Port = Field(description="TCP port.", examples=[4242])
    calling_ae_title: AETitle | None = Field(
        None, description="The AE title we call from; unset: listener.ae_title."
    )
    retrieve: Literal["get", "move"] = Field(
        "get",
        description="get: films come over our own association (C-GET); move: the archive sends them"
        " to our listener (C-MOVE), which it must know by listener.ae_title.",
    )
    tls: ClientTls = ClientTls.model_construct()

    @property
    def trust(self) -> Trust | None:
        """What secures the way to it by TLS; None where nothing does."""
        return self.tls if self.tls.enabled else None


class DicomwebArchive(WebPeer, Archive):
    """A DICOMweb server that films are fetched from with `hilum fetch`, by WADO-RS."""

    kind: Literal["dicomweb"] = Field("dicomweb", description="How it is asked: by QIDO-RS.")
    ae_title: AETitle = Field(
        "DICOMWEB", description="The source (as an AE title) that fetched films are filed under."
    )
    url: Url = Field(
        description="Its DICOMweb root, which /studies is below.",
        examples=["https://127.0.0.1/dicom-web"],
    )


KINDS: dict[str, type[Archive]] = {"dicom": DicomArchive, "dicomweb": DicomwebArchive}
"""The kinds by the value of their key `kind`, in the order of the template."""


def class_of(values: Mapping[str, object]) -> type[Archive]:
    """Return the class of an archive's kind; without the key it is a DICOM peer.

    Raises:
        ValueError: there is no such kind.
    """
    return class_among(KINDS, "archive", values)


def _of_its_kind(value: object) -> object:
    return class_of(value).model_validate(value) if isinstance(value, Mapping) else value


AnyArchive = Annotated[SerializeAsAny[Archive], BeforeValidator(_of_its_kind)]
