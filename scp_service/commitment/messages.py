"""The data sets of storage commitment (PS3.4 J.3), written and read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydicom import Dataset
from pydicom.uid import ImplicitVRLittleEndian

from db.commitments import Outcome, Said
from scp_service.header import is_uid

PUSH_MODEL = "1.2.840.10008.1.20.1"
PUSH_MODEL_INSTANCE = "1.2.840.10008.1.20.1.1"
CONTEXT = (PUSH_MODEL, str(ImplicitVRLittleEndian))
REQUEST = 1
"""Action Type ID of a request (PS3.4 J.3.2)."""
ALL_COMMITTED, SOME_FAILED = 1, 2
"""Event Type IDs of the answer (PS3.4 J.3.3)."""

# Failure Reason (PS3.3 C.14.1.1)
PROCESSING_FAILURE = 0x0110
NO_SUCH_INSTANCE = 0x0112
CLASS_INSTANCE_CONFLICT = 0x0119
CLASS_NOT_SUPPORTED = 0x0122
DUPLICATE_TRANSACTION = 0x0131
RESOURCE_LIMITATION = 0x0213

_REASONS = {
    PROCESSING_FAILURE: (Outcome.LATER, "processing failure"),
    NO_SUCH_INSTANCE: (Outcome.MISSING, "no such object instance"),
    CLASS_INSTANCE_CONFLICT: (Outcome.REFUSED, "class / instance conflict"),
    CLASS_NOT_SUPPORTED: (Outcome.REFUSED, "referenced SOP class not supported"),
    DUPLICATE_TRANSACTION: (Outcome.LATER, "duplicate transaction UID"),
    RESOURCE_LIMITATION: (Outcome.LATER, "resource limitation"),
}


class MessageError(Exception):
    """A message lacks what the standard demands; the sentence holds no UID."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What we say of one instance: a Failure Reason, or None where we commit ourselves."""

    sop_class_uid: str
    sop_instance_uid: str
    failure: int | None


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
    outcome, meaning = _REASONS.get(reason, (Outcome.LATER, "unknown reason"))
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
