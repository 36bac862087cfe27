"""How politely an archive is asked: a distance between studies, and hours of the day."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from scp_service.archives.query import QueryError

_WINDOW = re.compile(r"(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})")


@dataclass(frozen=True, slots=True)
class Window:
    """Hours of the day, local time, in which may be fetched; they may cross midnight."""

    first: time
    last: time

    def wait(self, now: datetime) -> timedelta:
        """Return how long it is until the window is open; zero where it is."""
        start = datetime.combine(now.date(), self.first, tzinfo=now.tzinfo)
        moment = now.time()
        if self.first < self.last:
            is_open = self.first <= moment < self.last
        else:
            is_open = moment >= self.first or moment < self.last
        if is_open:
            return timedelta(0)
        return start - now if start > now else start + timedelta(days=1) - now


@dataclass(frozen=True, slots=True)
class Pace:
    """At most so many studies a minute, and only in a window of the day where there is one."""

    studies_per_minute: float
    window: Window | None = None

    def wait(self, previous: datetime | None, now: datetime) -> float:
        """Return how many seconds to wait before the next study; `previous`: when one began."""
        distance = timedelta(minutes=1 / self.studies_per_minute)
        rest = timedelta(0) if previous is None else previous + distance - now
        if self.window is not None:
            rest = max(rest, self.window.wait(now))
        return max(0.0, rest.total_seconds())


def window(text: str) -> Window:
    """Read a window of the day such as 19:00-06:00.

    Raises:
        QueryError: it is none.
    """
    found = _WINDOW.fullmatch(text.strip())
    try:
        hours = [int(part) for part in found.groups()] if found else []
        first, last = time(hours[0], hours[1]), time(hours[2], hours[3])
    except (ValueError, IndexError):
        raise QueryError(f"{text!r} is no time of day: as in 19:00-06:00") from None
    if first == last:
        raise QueryError(f"the window {text!r} is empty: it ends where it begins")
    return Window(first, last)
