"""The audit trail, for who may read it; that it was read stands in it too."""

from __future__ import annotations

from datetime import datetime

from audit import file, reading
from audit.file import Verified
from audit.reading import Page, Wanted
from audit.trail import folder_of
from console.context import Context
from console.security.audited import trail_read
from console.security.who import Who
from console.services.errors import RefusedError


class NoSuchPlaceError(RefusedError):
    """`after` is no place in the trail."""

    def __init__(self) -> None:
        super().__init__("There is no such place in the audit trail.")


def page(
    context: Context, who: Who, wanted: Wanted, *, limit: int, after: str | None = None
) -> Page:
    """Read a page of the trail of this machine, newest first; `after`: the `next` of another.

    Raises:
        NoSuchPlaceError: `after` is none.
        RefusedError: the trail cannot be read.
    """
    try:
        found = reading.page(folder_of(context.settings), wanted, limit=limit, after=after)
    except ValueError:
        raise NoSuchPlaceError from None
    except OSError as error:
        raise RefusedError(f"The audit trail cannot be read ({error.strerror}).") from None
    trail_read(context, who, _asked(wanted, after))
    return found


def verify(context: Context) -> Verified:
    """Walk the chain of the whole trail.

    Raises:
        RefusedError: it cannot be read.
    """
    try:
        return file.verify(folder_of(context.settings))
    except OSError as error:
        raise RefusedError(f"The audit trail cannot be read ({error.strerror}).") from None


def _asked(wanted: Wanted, after: str | None) -> dict[str, str]:
    given = {
        "code": wanted.code,
        "user": wanted.user,
        "failed": "" if wanted.failed is None else str(wanted.failed).lower(),
        "since": _moment(wanted.since),
        "until": _moment(wanted.until),
        "after": after or "",
    }
    return {key: value for key, value in given.items() if value}


def _moment(at: datetime | None) -> str:
    return "" if at is None else at.isoformat()
