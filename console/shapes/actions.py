"""What can be done with a study, and what came of it."""

from __future__ import annotations

from pydantic import Field, StrictBool

from console.shapes.base import Asked, Id, Said, Text


class Retried(Said):
    """What of a study was put back to work. Zero throughout: nothing had failed or waits."""

    study_id: Id
    films: int = Field(description="Films to be read, and reports to be made, anew.", examples=[1])
    deliveries: int = Field(description="Objects to be sent again.", examples=[2])


class Resend(Asked):
    """Which of the latest results are sent again."""

    everything: StrictBool = Field(
        True,
        description="Also what was acknowledged; else only what waits or was rejected.",
        examples=[True],
    )


class ReadAgain(Asked):
    """By which bundle films are read again."""

    bundle: Text | None = Field(
        None,
        min_length=1,
        max_length=128,
        description="null: by the active one, for a further revision of the report. ID and VERSION"
        " of another one: for comparison alone.",
        examples=["hilum-cxr 1.0.0"],
    )


class ReadDone(Said):
    """What came of it."""

    study_id: Id
    films: int = Field(description="Zero: the study is still being worked on.", examples=[1])
    sent: bool = Field(description="Whether what comes of it is sent, as a further revision.")
