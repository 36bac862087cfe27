"""What can be done with a study, and what came of it."""

from __future__ import annotations

from pydantic import Field, StrictBool

from console.shapes.base import Asked, Id, Said


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
