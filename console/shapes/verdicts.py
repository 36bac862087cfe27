"""What people say of readings, and how bundles agree with it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from console.shapes.base import Asked, Id, Moment, Said, When

Finding = Literal["opacity", "abnormal", "normal"]
Pixels = Annotated[float, Field(strict=True, ge=-1e6, le=1e6, allow_inf_nan=False)]
Comment = Annotated[str, StringConstraints(max_length=4000, pattern=r"^[^\x00]*$")]


class DrawnBox(Asked):
    """An opacity as a person drew it, in pixels of the film: the upper left corner, and its size.

    It is cut to the film.
    """

    x: Pixels = Field(examples=[264.0])
    y: Pixels = Field(examples=[152.0])
    width: Pixels = Field(examples=[213.0])
    height: Pixels = Field(examples=[379.0])


class NewVerdict(Asked):
    """What a person says of a reading."""

    reading_id: Annotated[Id, Field(strict=True)] = Field(examples=[3])
    finding: Finding = Field(examples=["opacity"])
    boxes: list[DrawnBox] | None = Field(
        None, max_length=50, description="null: those of the reading are left as they are."
    )
    comment: Comment = Field("", examples=["Nipple shadow on the left."])


class KeptBox(Said):
    """An opacity in pixels of the film."""

    x: float
    y: float
    width: float
    height: float


class Verdict(Said):
    """What somebody said of a reading. None is ever changed: a later one stands beside it."""

    id: Id
    film_id: Id
    reading_id: Id
    finding: Finding
    boxes: list[KeptBox] | None
    comment: str
    by: str = Field(examples=["ada"])
    at: Moment


class Agreement(Said):
    """How readings agree with the latest verdict of each person on each of them."""

    group: str = Field(description="The bundle, source or station.", examples=["hilum-cxr 1.0.0"])
    verdicts: int
    both_positive: int = Field(description="Both saw an opacity.")
    bundle_only: int
    reader_only: int
    both_negative: int
    same_finding: int
    boxes_corrected: int
    agreement: float = Field(description="The part with the same answer, 0 to 1.", examples=[0.9])
    kappa: float | None = Field(description="Cohen's kappa; null: chance alone explains it.")


class ExportAsked(Asked):
    """Of which verdicts."""

    since: When | None = Field(
        None, description="Given at this time or later.", examples=["2024-03-01T00:00:00Z"]
    )
    until: When | None = Field(None, description="Given before this time.")


class AgreementAsked(ExportAsked):
    """Of which verdicts, and by what they are grouped."""

    by: Literal["bundle", "source", "station"] = "bundle"
