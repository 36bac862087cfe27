"""Is a destination there? Asked in a thread of its own, which nobody waits for without end."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from scp_service.answer import PeerError
from scp_service.destinations.registry import connector
from settings import Destination, Settings

LONGEST_SECONDS = 12.0
"""How long anybody waits: two of the probes' own limits, and time to look up a name."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What came of asking: whom and where, after how long, and what was wrong; None: nothing."""

    where: str
    seconds: float
    problem: str | None


def where(destination: Destination, settings: Settings) -> str:
    """Return whom and where a destination is called, for people; no secrets."""
    return connector(destination, settings).where


def probe(destination: Destination, settings: Settings, longest: float = LONGEST_SECONDS) -> Probe:
    """Ask a destination whether it is there, by its kind's own check; it keeps nothing of it."""
    called = connector(destination, settings)
    answers: list[str | None] = []

    def ask() -> None:
        try:
            called.probe()
        except PeerError as error:
            answers.append(str(error))
        else:
            answers.append(None)

    begun = time.monotonic()
    thread = threading.Thread(target=ask, name="probe", daemon=True)
    thread.start()
    thread.join(longest)
    late = f"it has not answered within {longest:g} s"
    return Probe(called.where, time.monotonic() - begun, answers[0] if answers else late)
