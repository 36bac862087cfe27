"""How an association's two threads wait; pynetdicom has them look a thousand times a second."""

from __future__ import annotations

import threading

from pynetdicom.association import Association

LOOK_SECONDS = 0.1
"""How often a thread looks all the same: for timeouts, and for what is said by our side."""


class Checkpoint(threading.Event):
    """What the association's own thread passes before it looks for messages; it dozes there.

    As pynetdicom's, it is set while that thread may go on.
    """

    def __init__(self) -> None:
        super().__init__()
        self.set()
        self._bell = threading.Event()
        self._held = False

    def hold(self) -> None:
        """Keep the thread here: the other one works on a request, and time is not to be up."""
        self._held = True

    def let_go(self) -> None:
        """Let the thread go on again."""
        self._held = False

    def ring(self) -> None:
        """Wake the thread: there may be something for it."""
        self._bell.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until there may be something to do, and the thread may go on."""
        while super().wait(timeout):
            self._bell.wait(LOOK_SECONDS)
            self._bell.clear()
            # Else it was cleared meanwhile, by who believes that we wait.
            if self.is_set() and not self._held:
                return True
        return False


def may_doze(association: Association) -> bool:
    """Tell whether the thread that reads from the peer has nothing to do unless the peer speaks.

    While data may be transferred (PS3.8 9.2: Sta6) nothing else is urgent.
    """
    upper_layer = association.dul
    return (
        upper_layer.state_machine.current_state == "Sta6"
        and upper_layer.to_provider_queue.empty()
        and upper_layer.event_queue.empty()
    )
