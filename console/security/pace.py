"""How many requests a session or token may make: a bucket each, which fills up evenly."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

_MOST = 10_000


class Pace:
    """Counts requests within this process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: seconds that only go forward."""
        self._clock = clock
        self._lock = threading.Lock()
        self._spent: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """By viewer: how many requests are not made up for yet, and when that was so."""

    def take(self, viewer: str, per_minute: int) -> int:
        """Count a request; return 0, or the seconds to wait where it is one too many.

        A minute's requests may come at once.
        """
        now = self._clock()
        with self._lock:
            spent, at = self._spent.get(viewer, (0.0, now))
            spent = max(0.0, spent - (now - at) * per_minute / 60)
            too_many = spent + 1 > per_minute
            self._spent[viewer] = (spent if too_many else spent + 1, now)
            self._spent.move_to_end(viewer)
            while len(self._spent) > _MOST:
                self._spent.popitem(last=False)
        return max(1, math.ceil((spent + 1 - per_minute) * 60 / per_minute)) if too_many else 0
