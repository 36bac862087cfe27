"""Why something that was asked for is not done, in a sentence for who asked."""

from __future__ import annotations


class RefusedError(Exception):
    """It cannot be done like this, or not now; nothing was changed."""


class MissingError(RefusedError):
    """What it is about is not there (any more)."""


class OutdatedError(RefusedError):
    """Somebody else has changed it since it was looked at."""
