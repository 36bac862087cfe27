"""Who takes a message that a peer has sent: whoever waits for it, or the association's thread."""

from __future__ import annotations

import threading
from typing import Any

from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_ECHO, C_STORE


class Turns:
    """How an association's own thread takes messages from the queue, and serves them.

    pynetdicom pauses that thread while we send a request or release, but by a flag that may be
    stale for a moment. In that moment the thread may take a response from under a sender and drop
    it, so that a match of a query is lost, or a sender waits until its time is up: here nothing is
    taken once the pause has begun. Or it takes a request, whose response would then follow our
    A-RELEASE-RQ, which PS3.8 9.2.1 forbids: none is served once the release begins, and the release
    waits for one under way.
    """

    def __init__(self, association: Association) -> None:
        self._take = association.dimse.get_msg
        self._serve = association._serve_request
        self._taking = threading.Lock()
        self._go_on = _Checkpoint(self._taking)
        self._serving = threading.Lock()
        self._ended = False

    @classmethod
    def of(cls, association: Association) -> Turns:
        """Return what serves an association, put in place when first asked for."""
        turns: object = association._serve_request
        if not isinstance(turns, cls):
            turns = cls(association)
            setattr(association, "_serve_request", turns)  # noqa: B010
            setattr(association, "_reactor_checkpoint", turns._go_on)  # noqa: B010
            setattr(association.dimse, "get_msg", turns.take)  # noqa: B010
        return turns

    def take(self, block: bool = False) -> tuple[Any, Any]:
        """Take a message; the association's own thread, which does not wait, only in its turn."""
        if block:
            return self._take(block=True)
        with self._taking:
            return self._take(block=False) if self._go_on.is_set() else (None, None)

    def __call__(self, message: C_ECHO | C_STORE, context_id: int) -> None:
        """Serve a request."""
        with self._serving:
            if not self._ended:
                self._serve(message, context_id)

    def end(self) -> None:
        """Serve no further request; return when the one under way has its response."""
        with self._serving:
            self._ended = True


class _Checkpoint(threading.Event):
    """Set while the association's own thread may go on; cleared never while it takes a message."""

    def __init__(self, taking: threading.Lock) -> None:
        super().__init__()
        self._taking = taking
        self.set()

    def clear(self) -> None:
        with self._taking:
            super().clear()
