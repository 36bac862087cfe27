"""Which studies a session was shown of late, so that the audit trail is told each view once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from datetime import datetime, timedelta

_AGAIN_AFTER = timedelta(minutes=10)
_MOST = 100_000


class Seen:
    """Remembers, within this process, what was shown to whom and when."""

    def __init__(self) -> None:
        self._at: OrderedDict[tuple[str, int], datetime] = OrderedDict()
        self._lock = threading.Lock()

    def new(self, viewer: str, studies: Iterable[int], now: datetime) -> list[int]:
        """Return the studies that this viewer was not shown of late, and remember them."""
        found = []
        with self._lock:
            for study in studies:
                key = (viewer, study)
                last = self._at.get(key)
                if last is None or now - last >= _AGAIN_AFTER:
                    found.append(study)
                    self._at[key] = now
                    self._at.move_to_end(key)
            while len(self._at) > _MOST:
                self._at.popitem(last=False)
        return found
