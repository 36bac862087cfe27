"""An audit message as XML: the schema of PS3.15 A.5.1, and no event in particular."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum
from xml.etree import ElementTree as ET


@dataclass(frozen=True, slots=True)
class Code:
    """A coded value: code, the system that it is of, and its meaning."""

    value: str
    system: str
    meaning: str


def dcm(value: str, meaning: str) -> Code:
    """Return a code of DICOM's own terminology (PS3.16 annex D)."""
    return Code(value, "DCM", meaning)


SOURCE = dcm("110153", "Source Role ID")
DESTINATION = dcm("110152", "Destination Role ID")
APPLICATION = dcm("110150", "Application")
LAUNCHER = dcm("110151", "Application Launcher")
MEDIA = dcm("110154", "Destination Media")
STUDY_UID = dcm("110180", "Study Instance UID")
CLASS_UID = dcm("110181", "SOP Class UID")
PATIENT_NUMBER = Code("2", "RFC-3881", "Patient Number")
URI = Code("12", "RFC-3881", "URI")


class Action(StrEnum):
    """What was done (EventActionCode)."""

    CREATE = "C"
    READ = "R"
    UPDATE = "U"
    DELETE = "D"
    EXECUTE = "E"


class Outcome(StrEnum):
    """How it ended (EventOutcomeIndicator)."""

    SUCCESS = "0"
    MINOR_FAILURE = "4"
    SERIOUS_FAILURE = "8"


class Kind(Enum):
    """What an object of an event is: ParticipantObjectTypeCode, ParticipantObjectTypeCodeRole."""

    PATIENT = ("1", "1")
    STUDY = ("2", "3")
    QUERY = ("2", "3")
    RESOURCE = ("2", "13")


@dataclass(frozen=True, slots=True)
class Participant:
    """Who took part: an AE title, a process or a person, and where on the network (an address)."""

    user: str
    role: Code | None = None
    address: str = ""
    requestor: bool = False
    other_name: str = ""
    medium: Code | None = None


@dataclass(frozen=True, slots=True)
class Instances:
    """How many instances of one SOP class of a study were concerned."""

    sop_class_uid: str
    count: int


@dataclass(frozen=True, slots=True)
class Object:
    """What an event was about. `query` stands in the place of a name (PS3.15 A.5.1)."""

    kind: Kind
    identifier: str
    identified_by: Code
    name: str = ""
    query: bytes | None = None
    details: Mapping[str, str] = field(default_factory=dict)
    accession_number: str = ""
    instances: Sequence[Instances] = ()
    life_cycle: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """One event."""

    event: Code
    action: Action
    at: datetime
    participants: Sequence[Participant]
    outcome: Outcome = Outcome.SUCCESS
    kind: Code | None = None
    outcome_description: str = ""
    objects: Sequence[Object] = ()


def to_xml(message: Message, source_id: str) -> str:
    """Write a message as one line of XML; `source_id` names the system that reports it."""
    root = ET.Element("AuditMessage")
    event = _sub(
        root,
        "EventIdentification",
        EventActionCode=message.action,
        EventDateTime=message.at.isoformat(timespec="milliseconds"),
        EventOutcomeIndicator=message.outcome,
    )
    _coded(event, "EventID", message.event)
    if message.kind is not None:
        _coded(event, "EventTypeCode", message.kind)
    if message.outcome_description:
        _sub(event, "EventOutcomeDescription").text = _clean(message.outcome_description)
    for participant in message.participants:
        _participant(root, participant)
    source = _sub(root, "AuditSourceIdentification", AuditSourceID=source_id)
    _sub(source, "AuditSourceTypeCode", **{"csd-code": "4"})  # an application server process
    for each in message.objects:
        _object(root, each)
    return ET.tostring(root, encoding="unicode")


def _participant(root: ET.Element, participant: Participant) -> None:
    element = _sub(root, "ActiveParticipant", UserID=participant.user)
    if participant.other_name:
        element.set("AlternativeUserID", _clean(participant.other_name))
    element.set("UserIsRequestor", str(participant.requestor).lower())
    if participant.address:
        element.set("NetworkAccessPointID", _clean(participant.address))
        element.set("NetworkAccessPointTypeCode", _access_point(participant.address))
    if participant.role is not None:
        _coded(element, "RoleIDCode", participant.role)
    if participant.medium is not None:
        _coded(_sub(element, "MediaIdentifier"), "MediaType", participant.medium)


def _object(root: ET.Element, each: Object) -> None:
    type_code, role = each.kind.value
    element = _sub(
        root,
        "ParticipantObjectIdentification",
        ParticipantObjectID=each.identifier,
        ParticipantObjectTypeCode=type_code,
        ParticipantObjectTypeCodeRole=role,
    )
    if each.life_cycle:
        element.set("ParticipantObjectDataLifeCycle", each.life_cycle)
    _coded(element, "ParticipantObjectIDTypeCode", each.identified_by)
    if each.query is None:
        _sub(element, "ParticipantObjectName").text = _clean(each.name)
    else:
        _sub(element, "ParticipantObjectQuery").text = _base64(each.query)
    for name, value in each.details.items():
        _sub(element, "ParticipantObjectDetail", type=name, value=_base64(value.encode()))
    if each.accession_number or each.instances:
        described = _sub(element, "ParticipantObjectDescription")
        if each.accession_number:
            _sub(described, "Accession", Number=each.accession_number)
        for group in each.instances:
            count = str(group.count)
            _sub(described, "SOPClass", UID=group.sop_class_uid, NumberOfInstances=count)


def _sub(parent: ET.Element, name: str, **attributes: str) -> ET.Element:
    return ET.SubElement(parent, name, {key: _clean(value) for key, value in attributes.items()})


def _coded(parent: ET.Element, name: str, code: Code) -> None:
    attributes = {"csd-code": code.value, "codeSystemName": code.system}
    _sub(parent, name, **attributes, displayName=code.meaning, originalText=code.meaning)


def _access_point(address: str) -> str:
    """Tell what kind of address this is: 1 a machine's name, 2 an IP address, 5 a URI."""
    if "://" in address:
        return "5"
    return "2" if address.replace(".", "").isdecimal() or ":" in address else "1"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _clean(text: str) -> str:
    """Leave out what XML 1.0 cannot carry, and line breaks: a message is one line."""
    return "".join(
        each if each.isprintable() and each not in "\ufffe\uffff" else " " for each in text
    )
