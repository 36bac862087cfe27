"""Which studies to list: every filter of the worklist."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from console.shapes.base import Asked, Text, When
from db.states import Priority, StudyState

Day = Annotated[str, Field(pattern=r"^[0-9]{8}$", examples=["20240301"])]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, examples=[0.5])]


def _text(most: int, description: str, example: str) -> Text | None:
    """A text of a study, exactly as it is unless the description says otherwise."""
    found: Text | None = Field(
        None, min_length=1, max_length=most, description=description, examples=[example]
    )
    return found


class StudiesAsked(Asked):
    """What to look for; what is left out does not limit the list.

    Films of the self-test are listed only where their source is asked for.
    """

    since: When | None = Field(
        None,
        description="The first image came at this time or later.",
        examples=["2024-03-01T00:00:00Z"],
    )
    until: When | None = Field(None, description="The first image came before this time.")
    study_date_from: Day | None = Field(None, description="YYYYMMDD, included.")
    study_date_to: Day | None = Field(None, description="YYYYMMDD, included.")
    text: Text | None = _text(
        64,
        "A Patient ID, an accession number, a Study Instance UID, or how a patient's name begins.",
        "curie",
    )
    patient_id: Text | None = _text(64, "The Patient ID.", "P-0001")
    accession_number: Text | None = _text(64, "The accession number.", "A-2024-17")
    probability_min: Share | None = None
    probability_max: Share | None = None
    finding: Literal["opacity", "abnormal", "normal", "failed"] | None = None
    state: StudyState | None = None
    priority: Priority | None = None
    source: Text | None = _text(16, "The AE title that sent it.", "CR1")
    station: Text | None = _text(64, "The station that took the films.", "ROOM1")
    bundle: Text | None = _text(128, "The model that has read it.", "hilum-cxr 1.0.0")
    delivered: Literal["not", "pending", "rejected", "sent", "committed"] | None = Field(
        None,
        description="How far the results have got: at `destination`, or at any. `not`: something is"
        " still on its way or was rejected.",
    )
    destination: Text | None = _text(96, "A destination that results go to.", "pacs")
    order: Literal["newest", "probability"] = Field(
        "newest", description="What comes first: what came last, or the highest probability."
    )


class StudiesPage(StudiesAsked):
    """Which studies, and which part of the list."""

    limit: int = Field(50, ge=1, le=500, description="How many at most.", examples=[50])
    cursor: str | None = Field(
        None,
        max_length=1000,
        description="Where to go on: `next` of the page before, with everything else as it was.",
    )
