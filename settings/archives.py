"""Where films are fetched from."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from settings.fields import AETitle, Port, Section


class DicomArchive(Section):
    """A PACS that films are fetched from with `hilum fetch`."""

    name: str = Field(
        description="Our own name for it, unique.",
        min_length=1,
        max_length=64,
        pattern=r"^[\w.-]+$",
        examples=["archive"],
    )
    kind: Literal["dicom"] = Field("dicom", description="How it is asked.")
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
    modalities: tuple[str, ...] = Field(
        ("CR", "DX"), min_length=1, description="Modalities of the series that are fetched."
    )
    studies_per_minute: float = Field(
        30, gt=0, description="How many studies a minute are fetched at most."
    )
    timeout_seconds: float = Field(
        120, gt=0, description="Wait for an answer; an archive may have to load films from tape."
    )
