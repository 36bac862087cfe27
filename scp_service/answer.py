"""What a destination says to a parcel, in terms that hold for every kind."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class PeerError(Exception):
    """A peer could not be reached, refused to talk, or went away; says which in a few words.

    Nothing of a single object is wrong: all that waits is tried again, for ever.

    Args:
        reason: for the history and the log.
        retry_after_seconds: how long it asks us to wait, if it does.
    """

    def __init__(self, reason: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_seconds = retry_after_seconds


class UntrustedPeerError(PeerError):
    """TLS could not be agreed on with a peer, or a certificate was not accepted."""


class Outcome(StrEnum):
    """What became of an object, and what that means for the next attempt."""

    STORED = "stored"
    """The destination has it."""
    TEMPORARY = "temporary"
    """It lacks what the object needs, such as room: tried again, for ever."""
    REFUSED = "refused"
    """It refuses this object: given up after a few attempts."""
    REJECTED = "rejected"
    """It refuses this object for good: given up at once."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one object.

    Args:
        outcome: what became of it.
        reason: for the history, where it was not stored: what the peer said. No patient data of
            ours may stand here.
        status: the protocol's own code (DIMSE, HTTP), if there was one.
        sent_as: SOP Instance UID that it was sent by, where the peer needed another form.
        commit: whether the destination is to be asked to commit itself to what it has stored.
    """

    outcome: Outcome
    reason: str = ""
    status: int | None = None
    sent_as: str | None = None
    commit: bool = False

    @property
    def stored(self) -> bool:
        """Whether the destination has the object."""
        return self.outcome is Outcome.STORED
