"""What destinations of every kind have in common."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from settings.fields import AETitle, Section
from settings.tls import Trust


class Destination(Section):
    """A peer that gets results."""

    name: str = Field(
        description="Our own name for it, unique.",
        min_length=1,
        max_length=64,
        pattern=r"^[\w.-]+$",
    )
    kind: str = Field(description="How results are sent.")
    objects: tuple[str, ...] = Field(
        min_length=1, description="The output profile: which objects it gets."
    )
    sources: tuple[AETitle, ...] = Field(
        (), description="Only results of films sent by these AE titles; empty: of all."
    )
    results: Literal["all", "positive"] = Field(
        "all",
        description="Which results: all, or those of positive studies only (and what corrects them"
        " later).",
    )

    @property
    def trust(self) -> Trust | None:
        """What secures the way to it by TLS; None where nothing does."""
        return None
