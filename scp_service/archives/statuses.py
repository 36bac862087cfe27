"""What the statuses of C-FIND, C-GET and C-MOVE mean, in words (PS3.4 tables C.4-1 to C.4-3)."""

from __future__ import annotations

UNKNOWN_DESTINATION = 0xA801
NOT_AUTHORIZED = 0x0124
TEXTS = {
    0x0110: "it failed while it processed the request",
    0x0122: "it does not support what it is asked for (SOP class not supported)",
    NOT_AUTHORIZED: "it does not allow us to do this (not authorized)",
    0x0211: "it does not know this operation",
    0xA700: "it is out of resources; ask for less, such as fewer days, or later",
    0xA701: "it is out of resources and cannot count the matches; ask for less, or later",
    0xA702: "it is out of resources and cannot send; ask later",
    UNKNOWN_DESTINATION: "it does not know the move destination",
    0xA900: "it does not understand the request (the identifier does not match the SOP class)",
    0xB000: "it could not send some of the images",
    0xFE00: "it cancelled the request",
}


def is_pending(status: int) -> bool:
    """Tell whether more answers follow."""
    return status in (0xFF00, 0xFF01)


def meaning(status: int) -> str:
    """Say what a final status means, and its number."""
    text = TEXTS.get(status)
    if text is None:
        unable = 0xC000 <= status <= 0xCFFF
        text = "it is unable to process the request" if unable else "it failed for another reason"
    return f"{text} (status {status:04X})"
