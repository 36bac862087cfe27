"""The time zone that somebody's days begin in: their browser's, which its script tells."""

from __future__ import annotations

from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi import Depends
from starlette.requests import HTTPConnection

_COOKIE = "hilum_zone"


def zone_of(connection: HTTPConnection) -> ZoneInfo:
    """Return the browser's zone; UTC where it has told none that is known here."""
    try:
        return ZoneInfo(connection.cookies.get(_COOKIE, "UTC"))
    except (ZoneInfoNotFoundError, ValueError, OSError):  # also what is no name of a file
        return ZoneInfo("UTC")


ZoneDep = Annotated[ZoneInfo, Depends(zone_of)]
