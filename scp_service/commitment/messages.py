"""The data sets of storage commitment (PS3.4 J.3), written and read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydicom import Dataset
from pydicom.uid import ImplicitVRLittleEndian

from db.commitments import Outcome, Said
from scp_service.header import is_uid
from scp_service.status import Status

PUSH_MODEL = "1.2.840.10008.1.20.1"
PUSH_MODEL_INSTANCE = "1.2.840.10008.1.20.1.1"
CONTEXT = (PUSH_MODEL, str(ImplicitVRLittleEndian))
MOST_REFERENCES = 10_000
"""How many instances a request may name."""
REQUEST = 1
"""Action Type ID of a request (PS3.4 J.3.2)."""
ALL_COMMITTED, SOME_FAILED = 1, 2
"""Event Type IDs of the answer (PS3.4 J.3.3)."""


class ActionStatus(Status):
    """How we answer an N-ACTION (PS3.7 10.1.4.1.10)."""

    SUCCESS = 0x0000, "the request is kept, and will be answered"
    PROCESSING_FAILURE = 0x0110, "the database cannot record the request"
    NO_SUCH_INSTANCE = 0x0112, "it is asked of another SOP instance than the well-known one"
    INVALID_ARGUMENT = 0x0115, "no Transaction UID, no instances, or what is no UID"
    NO_SUCH_ACTION = 0x0123, "another action than 1 is asked for"
    RESOURCE_LIMITATION = 0x0213, f"more than {MOST_REFERENCES:,} instances are asked for at once"


class EventStatus(Status):
    """How we answer an N-EVENT-REPORT (PS3.7 10.1.1.1.8)."""

    SUCCESS = 0x0000, "what it says is recorded"
    PROCESSING_FAILURE = 0x0110, "the database cannot record it"
    NO_SUCH_EVENT = 0x0113, "another event than 1 or 2 is reported"
    INVALID_ARGUMENT = 0x0115, "no Transaction UID"


class FailureReason(Status):
    """Why we do not commit ourselves to an instance (PS3.3 C.14.1.1)."""

    PROCESSING_FAILURE = 0x0110, "its file is missing or damaged"
    NO_SUCH_INSTANCE = 0x0112, "it never came, or was deleted by the retention rule"
    CLASS_INSTANCE_CONFLICT = 0x0119, "it is held with another SOP class"


REASONS = {
    0x0110: (Outcome.LATER, "processing failure"),
    0x0112: (Outcome.MISSING, "no such object instance"),
    0x0119: (Outcome.REFUSED, "class / instance conflict"),
    0x0122: (Outcome.REFUSED, "referenced SOP class not supported"),
    0x0131: (Outcome.LATER, "duplicate transaction UID"),
    0x0213: (Outcome.LATER, "resource limitation"),
}
"""What a Failure Reason of a destination means, and what follows (PS3.3 C.14.1.1)."""


class MessageError(Exception):
    """A message lacks what the standard demands; the sentence holds no UID."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What we say of one instance: a Failure Reason, or None where we commit ourselves."""

    sop_class_uid: str
    sop_instance_uid: str
    failure: FailureReason | None


def request(transaction_uid: str, references: Sequence[tuple[str, str]]) -> Dataset:
    """Return the Action Information that asks for (SOP class, SOP instance) pairs."""
    information = Dataset()
    information.TransactionUID = transaction_uid
    information.ReferencedSOPSequence = [_reference(*each) for each in references]
    return information


def read_request(information: Dataset) -> tuple[str, list[tuple[str, str]]]:
    """Return a request's Transaction UID and its (SOP class, SOP instance) pairs.

    Raises:
        MessageError: it has no Transaction UID, or no instance with class and UID.
    """
    references = [
        (str(item.get("ReferencedSOPClassUID") or ""), _instance(item))
        for item in information.get("ReferencedSOPSequence") or ()
    ]
    if not references or not all(is_uid(uid) for pair in references for uid in pair):
        raise MessageError("a referenced SOP class or instance is missing or no UID")
    return _transaction(information), references


def answer(transaction_uid: str, verdicts: Sequence[Verdict]) -> tuple[int, Dataset]:
    """Return Event Type ID and Event Information that answer a request."""
    information = Dataset()
    information.TransactionUID = transaction_uid
    good = [each for each in verdicts if each.failure is None]
    bad = [each for each in verdicts if each.failure is not None]
    if good:
        information.ReferencedSOPSequence = [
            _reference(each.sop_class_uid, each.sop_instance_uid) for each in good
        ]
    if not bad:
        return ALL_COMMITTED, information
    failed = []
    for each in bad:
        item = _reference(each.sop_class_uid, each.sop_instance_uid)
        item.FailureReason = each.failure
        failed.append(item)
    information.FailedSOPSequence = failed
    return SOME_FAILED, information


def read_answer(information: Dataset) -> tuple[str, Mapping[str, Said]]:
    """Return an answer's Transaction UID and what is said of each SOP Instance UID.

    Raises:
        MessageError: it has no Transaction UID.
    """
    said = {
        _instance(item): Said(Outcome.COMMITTED)
        for item in information.get("ReferencedSOPSequence") or ()
    }
    for item in information.get("FailedSOPSequence") or ():
        said[_instance(item)] = _failure(item.get("FailureReason"))
    return _transaction(information), said


def _failure(reason: object) -> Said:
    if not isinstance(reason, int):
        return Said(Outcome.LATER, "not committed by the destination, which gives no reason")
    outcome, meaning = REASONS.get(reason, (Outcome.LATER, "unknown reason"))
    return Said(outcome, f"not committed by the destination: {meaning} ({reason:04X})")


def _transaction(information: Dataset) -> str:
    uid = str(information.get("TransactionUID") or "")
    if not is_uid(uid):
        raise MessageError("the Transaction UID is missing or no UID")
    return uid


def _reference(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class_uid
    item.ReferencedSOPInstanceUID = sop_instance_uid
    return item


def _instance(item: Dataset) -> str:
    return str(item.get("ReferencedSOPInstanceUID") or "")
