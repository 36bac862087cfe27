"""What a receiver says to a message: the MSA and ERR segments of its ACK, and what they mean."""

from __future__ import annotations

import re
from dataclasses import dataclass

import hl7

from scp_service.answer import Answer, Outcome

_ACCEPTED = frozenset({"AA", "CA"})
_FAULTY = frozenset({"AE", "CE"})
_REJECTED = frozenset({"AR", "CR"})
_NOT_NOW = frozenset({"206", "207"})
"""Table 0357: the record is locked; the application has an internal error."""

_CODE = re.compile(r"[A-Za-z0-9]{1,8}")
_SEGMENT = re.compile(r"[A-Z][A-Z0-9]{2}")


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """An ACK message: its code (table 0008), whose message it answers, and the first error.

    `error` is a code (table 0357) and `place` a segment and field, "" where they are not given. The
    receiver's free text is not kept: it may quote the patient.
    """

    code: str
    control_id: str
    error: str
    place: str


def read_acknowledgement(block: bytes) -> Acknowledgement:
    """Read an ACK.

    Raises:
        ValueError: it is no HL7 message, or has no MSA segment.
    """
    try:
        message = hl7.parse(block.decode("latin-1"))
        msa = message.segment("MSA")
        code, control_id = str(msa[1]), str(msa[2])
    except (hl7.HL7Exception, LookupError, ValueError):
        raise ValueError("no HL7 acknowledgement") from None
    error, place = _error(message)
    return Acknowledgement(code, control_id, error, place)


def answer_to(said: Acknowledgement) -> Answer:
    """Tell what an acknowledgement means for the message (HL7 2.5.1, 2.9.2 and table 0008).

    AE may pass later, when someone has mended what it names, so it is tried a few times; AR will
    not. An error of the receiver itself passes with either.
    """
    if said.code in _ACCEPTED:
        return Answer(Outcome.STORED)
    detail = " ".join(
        filter(None, (said.error and f"error {said.error}", said.place and f"at {said.place}"))
    )
    reason = f"it answered {said.code}" + (f" ({detail})" if detail else "")
    if said.error in _NOT_NOW:
        return Answer(Outcome.TEMPORARY, reason)
    if said.code in _FAULTY:
        return Answer(Outcome.REFUSED, reason)
    if said.code in _REJECTED:
        return Answer(Outcome.REJECTED, reason)
    return Answer(Outcome.REFUSED, "it answered a code that no acknowledgement has")


def _error(message: hl7.Message) -> tuple[str, str]:
    """Return code and place of the first error."""
    try:
        err = [str(field) for field in message.segment("ERR")]
    except KeyError:
        return "", ""
    if len(err) > 3 and err[3]:  # since 2.5: ERR-2 is the place, ERR-3 the code
        code, place = err[3].split("^")[0], err[2].split("^")
    else:  # before: ERR-1 is segment^sequence^field^code
        place = (err[1] if len(err) > 1 else "").split("^")
        code = place[3].split("&")[0] if len(place) > 3 else ""
    return code if _CODE.fullmatch(code) else "", _place(place)


def _place(place: list[str]) -> str:
    """Return segment and field; what looks like neither may be free text and is left out."""
    segment = place[0] if _SEGMENT.fullmatch(place[0]) else ""
    field = place[2] if segment and len(place) > 2 and place[2].isdecimal() else ""
    return "-".join(filter(None, (segment, field)))
