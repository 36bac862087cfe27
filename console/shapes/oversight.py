"""Which records of the audit trail to list."""

from __future__ import annotations

from pydantic import Field

from console.shapes.base import Asked, Text, When


class RecordsAsked(Asked):
    """What to look for in the audit trail; what is left out does not limit the list."""

    code: Text = Field(
        "", max_length=16, description="An EventID or EventTypeCode.", examples=["110114"]
    )
    user: Text = Field(
        "", max_length=100, description="A part of the name of who took part.", examples=["ada"]
    )
    failed: bool | None = Field(None, description="How it ended.")
    since: When | None = None
    until: When | None = None
    limit: int = Field(50, ge=1, le=500, description="How many at most.", examples=[50])
    cursor: str | None = Field(
        None,
        max_length=1000,
        description="Where to go on: `next` of the page before, with everything else as it was.",
    )
