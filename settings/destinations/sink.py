"""The destination of the self-test's results, which no configuration can name."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from settings.destinations.imaging import ImagingDestination

SELF_TEST_AE = "HILUM_SELF_TEST"
"""The AE title that films of the self-test come from; no peer may have it."""


class SinkDestination(ImagingDestination):
    """Where the results of our own films end: they are looked at, and go no further."""

    name: Literal["@self-test"] = Field("@self-test", description="Its name.")
    kind: Literal["sink"] = Field("sink", description="How results are sent: not at all.")


SINK = SinkDestination()
