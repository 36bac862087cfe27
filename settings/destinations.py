"""Who gets results, and which."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from settings.fields import AETitle, ObjectKind, Port, Section


class Destination(Section):
    """A peer that gets results."""

    name: str = Field(
        description="Our own name for it, unique.",
        min_length=1,
        max_length=64,
        pattern=r"^[\w.-]+$",
        examples=["pacs"],
    )
    kind: Literal["dicom"] = Field("dicom", description="How results are sent.")
    ae_title: AETitle = Field(description="The AE title to call.", examples=["PACS"])
    host: str = Field(description="Host name or address.", min_length=1, examples=["127.0.0.1"])
    port: Port = Field(description="TCP port.", examples=[4242])
    calling_ae_title: AETitle | None = Field(
        None, description="The AE title we call from; unset: listener.ae_title."
    )
    objects: tuple[ObjectKind, ...] = Field(
        ("sr", "sc"), min_length=1, description="The output profile: which objects it gets."
    )
    sources: tuple[AETitle, ...] = Field(
        (), description="Only results of films sent by these AE titles; empty: of all."
    )
