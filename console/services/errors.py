"""Why something that was asked for is not done, in a sentence for who asked."""

from __future__ import annotations

from collections.abc import Mapping


class RefusedError(Exception):
    """It cannot be done like this, or not now; nothing was changed."""

    status = 409
    """The HTTP status that tells of it."""


class InvalidError(RefusedError):
    """What was given does not fit; `wrong` says what is wrong, by dotted key ("": as a whole)."""

    def __init__(self, wrong: Mapping[str, str]) -> None:
        super().__init__(wrong.get("", "Some of it does not fit; it is marked below."))
        self.wrong = dict(wrong)


class MissingError(RefusedError):
    """What it is about is not there (any more)."""

    status = 404


class OutdatedError(RefusedError):
    """Somebody else has changed it since it was looked at."""

    status = 412
