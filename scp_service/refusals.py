"""How refused connections are told of: so that it is noticed, and that an attack fills no log."""

from __future__ import annotations

import logging
import threading
import time

_log = logging.getLogger(__name__)

_QUIET_SECONDS = 60.0


class Rarely:
    """Lets the first of a kind through at once, then, a minute later, how many there were."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._told: dict[tuple[str, str], tuple[float, int]] = {}

    def due(self, address: str, reason: str) -> str | None:
        """Return what to add to the message; None where the same was told a moment ago."""
        now = time.monotonic()
        with self._guard:
            since, unsaid = self._told.get((address, reason), (float("-inf"), 0))
            if now - since < _QUIET_SECONDS:
                self._told[address, reason] = (since, unsaid + 1)
                return None
            self._told = {
                key: value for key, value in self._told.items() if now - value[0] < _QUIET_SECONDS
            }
            self._told[address, reason] = (now, 0)
        return f" ({unsaid} more before)" if unsaid else ""


class Refusals:
    """Tells of refused connections in the log."""

    def __init__(self) -> None:
        self._rarely = Rarely()

    def tell(self, address: str, reason: str) -> None:
        """Log that a connection was refused, unless the same was logged a moment ago."""
        more = self._rarely.due(address, reason)
        if more is not None:
            _log.warning("A connection from %s was refused: %s.%s", address, reason, more)
