"""The events that Hilum reports, each in the form that PS3.15 A.5.3 gives it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from audit.message import (
    APPLICATION,
    CLASS_UID,
    DESTINATION,
    LAUNCHER,
    MEDIA,
    PATIENT_NUMBER,
    SOURCE,
    STUDY_UID,
    URI,
    Action,
    Code,
    Instances,
    Kind,
    Message,
    Object,
    Outcome,
    Participant,
    dcm,
)

STARTED, STOPPED = dcm("110120", "Application Start"), dcm("110121", "Application Stop")
NODE_AUTHENTICATION = dcm("110126", "Node Authentication")
SECURITY_CONFIGURATION = dcm("110129", "Security Configuration")
SOFTWARE_CONFIGURATION = dcm("110131", "Software Configuration")
RESTRICTED_FUNCTION = dcm("110132", "Use of Restricted Function")
LOGIN, LOGOUT = dcm("110122", "Login"), dcm("110123", "Logout")

_APPLICATION_ACTIVITY = dcm("110100", "Application Activity")
_TRAIL_USED = dcm("110101", "Audit Log Used")
_ACCESSED = dcm("110103", "DICOM Instances Accessed")
_AUTHENTICATION = dcm("110114", "User Authentication")
_TRANSFERRED = dcm("110104", "DICOM Instances Transferred")
_STUDY_DELETED = dcm("110105", "DICOM Study Deleted")
_EXPORT = dcm("110106", "Export")
_PATIENT_RECORD = dcm("110110", "Patient Record")
_QUERY = dcm("110112", "Query")
_ALERT = dcm("110113", "Security Alert")
_ERASED = "15"
_ALERT_TYPE = "Alert Description"
_WORKLIST = "1.2.840.10008.5.1.4.1.2.2.1"
"""Study Root FIND: a list in the console asks for what a query of studies would."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The patient and the study that instances belong to, as their headers say."""

    study_instance_uid: str
    patient_id: str
    patient_name: str
    accession_number: str = ""


def application(at: datetime, *, started: bool, ours: Participant, launcher: str) -> Message:
    """A process of ours has begun or ended (A.5.3.1)."""
    return Message(
        _APPLICATION_ACTIVITY,
        Action.EXECUTE,
        at,
        (replace(ours, role=APPLICATION), Participant(launcher, LAUNCHER, requestor=True)),
        kind=STARTED if started else STOPPED,
    )


def transferred(
    at: datetime,
    action: Action,
    *,
    source: Participant,
    destination: Participant,
    subject: Subject,
    instances: Sequence[Instances],
    failure: str = "",
) -> Message:
    """Instances of one study have gone from one to the other (A.5.3.7), or have failed to."""
    return Message(
        _TRANSFERRED,
        action,
        at,
        (replace(source, role=SOURCE), replace(destination, role=DESTINATION)),
        outcome=Outcome.MINOR_FAILURE if failure else Outcome.SUCCESS,
        outcome_description=failure,
        objects=_of(subject, instances),
    )


def exported(
    at: datetime,
    *,
    ours: Participant,
    destination: Participant,
    subject: Subject,
    instances: Sequence[Instances],
    failure: str = "",
) -> Message:
    """What instances say has left in another format than DICOM (A.5.3.4), or has failed to."""
    return Message(
        _EXPORT,
        Action.READ,
        at,
        (
            Participant(destination.user, DESTINATION, other_name=destination.other_name),
            replace(ours, role=SOURCE, requestor=True),
            replace(destination, role=MEDIA),
        ),
        outcome=Outcome.MINOR_FAILURE if failure else Outcome.SUCCESS,
        outcome_description=failure,
        objects=_of(subject, instances),
    )


def study_deleted(at: datetime, *, ours: Participant, subject: Subject, why: str) -> Message:
    """A study was deleted here by a rule (A.5.3.8)."""
    study, patient = _of(subject, ())
    study = replace(study, details={"Reason": why})
    return Message(
        _STUDY_DELETED,
        Action.DELETE,
        at,
        (replace(ours, requestor=True),),
        objects=(study, patient),
    )


def trail_used(at: datetime, *, ours: Participant, person: Participant, asked: str = "") -> Message:
    """Somebody has looked at the audit trail (A.5.3.2); `asked`: for what."""
    trail = Object(
        Kind.RESOURCE,
        "audit",
        URI,
        name="Security Audit Log",
        details={"Asked": asked} if asked else {},
    )
    return Message(
        _TRAIL_USED, Action.READ, at, (replace(person, requestor=True), ours), objects=(trail,)
    )


def accessed(at: datetime, *, ours: Participant, person: Participant, subject: Subject) -> Message:
    """Somebody has looked at a study (A.5.3.6)."""
    return Message(
        _ACCESSED,
        Action.READ,
        at,
        (replace(person, requestor=True), ours),
        objects=_of(subject, ()),
    )


def authentication(
    at: datetime,
    kind: Code,
    *,
    person: Participant,
    ours: Participant,
    outcome: Outcome = Outcome.SUCCESS,
    why: str = "",
) -> Message:
    """Somebody has logged in or out, or tried to (A.5.3.12); `why` tells what it failed by."""
    return Message(
        _AUTHENTICATION,
        Action.EXECUTE,
        at,
        (replace(person, requestor=True), ours),
        outcome,
        kind,
        outcome_description=why,
    )


def looked_up(
    at: datetime, *, ours: Participant, person: Participant, what: str, keys: str
) -> Message:
    """Somebody has been shown or given a list of studies (A.5.3.10); `keys` tells which."""
    return Message(
        _QUERY,
        Action.EXECUTE,
        at,
        (
            replace(person, requestor=True),
            replace(ours, role=SOURCE),
            replace(ours, role=DESTINATION),
        ),
        objects=(
            Object(Kind.QUERY, _WORKLIST, CLASS_UID, query=keys.encode(), details={"List": what}),
        ),
    )


def query(
    at: datetime, *, ours: Participant, asked: Participant, sop_class_uid: str, keys: str
) -> Message:
    """We have asked an archive what it holds (A.5.3.10); `keys` tells for what."""
    return Message(
        _QUERY,
        Action.EXECUTE,
        at,
        (replace(ours, role=SOURCE, requestor=True), replace(asked, role=DESTINATION)),
        objects=(Object(Kind.QUERY, sop_class_uid, CLASS_UID, query=keys.encode()),),
    )


def alert(
    at: datetime,
    kind: Code,
    *,
    reporter: Participant,
    description: str,
    performer: Participant | None = None,
    resource: str = "",
    outcome: Outcome = Outcome.SUCCESS,
    details: Mapping[str, str] | None = None,
) -> Message:
    """Something that security depends on has happened (A.5.3.11)."""
    told = Object(
        Kind.RESOURCE,
        resource or reporter.user,
        URI,
        name=resource or reporter.user,
        details={_ALERT_TYPE: description, **(details or {})},
    )
    performers = () if performer is None else (performer,)
    return Message(
        _ALERT, Action.EXECUTE, at, (reporter, *performers), outcome, kind, objects=(told,)
    )


def erased(
    at: datetime, *, person: Participant, ours: Participant, pseudonym: str, what: Mapping[str, int]
) -> Message:
    """All of a patient was erased; the patient is a keyed hash by now.

    "Patient Record" is an Audit Event ID of PS3.16 CID 400; PS3.15 A.5.3 has no message for it, and
    that of a deleted study (A.5.3.8) would name the study that is to be forgotten.
    """
    return Message(
        _PATIENT_RECORD,
        Action.DELETE,
        at,
        (replace(person, requestor=True), ours),
        objects=(
            Object(
                Kind.PATIENT,
                pseudonym,
                PATIENT_NUMBER,
                name="erased",
                details={"Erased": json.dumps(dict(what))},
                life_cycle=_ERASED,
            ),
        ),
    )


def _of(subject: Subject, instances: Sequence[Instances]) -> tuple[Object, Object]:
    """Return the study and the patient that something happened to."""
    return (
        Object(
            Kind.STUDY,
            subject.study_instance_uid,
            STUDY_UID,
            accession_number=subject.accession_number,
            instances=instances,
        ),
        Object(Kind.PATIENT, subject.patient_id, PATIENT_NUMBER, name=subject.patient_name),
    )
