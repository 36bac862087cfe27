"""What destinations that get DICOM objects have in common: which objects, and in which form."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from settings.destinations.base import Destination
from settings.fields import ObjectKind, Section


class ImagingProfile(Section):
    """Which DICOM objects somebody gets, and in which form."""

    objects: tuple[ObjectKind, ...] = Field(
        ("sr", "sc"), min_length=1, description="The output profile: which objects it gets."
    )
    sr: Literal["comprehensive_3d", "comprehensive"] = Field(
        "comprehensive_3d",
        description="SOP class of its reports: Comprehensive 3D SR (Comprehensive SR where that is"
        " not accepted), or Comprehensive SR from the start.",
    )
    sc_max_side: int | None = Field(
        None,
        ge=0,
        description="Longest side of its overlays, in pixels; 0: the film's own size; unset:"
        " report.sc_max_side.",
    )
    sc_colour: Literal["amber", "cyan", "green", "magenta", "white"] = Field(
        "amber", description="Colour of the boxes in its overlays."
    )
    sc_min_score: float = Field(
        0, ge=0, le=1, description="Score, 0 to 1, below which its overlays leave a box out."
    )
    sc_images: Literal["all", "with_boxes", "positive"] = Field(
        "all",
        description="Which images it gets overlays of: all that were read, those with boxes that"
        " are drawn, or all of positive studies.",
    )


class ImagingDestination(ImagingProfile, Destination):
    """A destination that gets DICOM objects."""
