"""Every event has the form of PS3.15 A.5: the schema, and what A.5.3 asks of it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import pytest

from audit import events
from audit.message import Action, Instances, Message, Outcome, Participant, to_xml
from tests.audit.schema import faults

AT = datetime(2026, 11, 29, 12, tzinfo=UTC)
OURS = Participant("HILUM", address="reader1", other_name="process 7")
PEER = Participant("PACS", address="10.0.0.5", requestor=True)
SUBJECT = events.Subject("1.2.3", "4711", "Müller^Jürgen=山田^太郎", "A1")


def _messages() -> Iterator[Message]:
    yield events.application(AT, started=True, ours=OURS, launcher="root@reader1")
    yield events.application(AT, started=False, ours=OURS, launcher="root@reader1")
    yield events.transferred(
        AT,
        Action.CREATE,
        source=PEER,
        destination=OURS,
        subject=SUBJECT,
        instances=(Instances("1.2.840.10008.5.1.4.1.1.1.1", 2),),
    )
    yield events.transferred(
        AT, Action.READ, source=OURS, destination=PEER, subject=SUBJECT, instances=(), failure="no"
    )
    yield events.query(AT, ours=OURS, asked=PEER, sop_class_uid="1.2.4", keys='{"a": 1}')
    yield events.alert(
        AT,
        events.NODE_AUTHENTICATION,
        reporter=OURS,
        performer=PEER,
        description="Refused: <no token> & more",
        outcome=Outcome.MINOR_FAILURE,
    )
    yield events.alert(
        AT,
        events.SECURITY_CONFIGURATION,
        reporter=OURS,
        description="The settings in effect.",
        resource="hilum.toml",
        details={"Settings": "{}"},
    )
    yield events.erased(AT, person=PEER, ours=OURS, pseudonym="f00", what={"studies": 1})


MESSAGES = list(_messages())


@pytest.mark.parametrize("message", MESSAGES, ids=lambda each: each.event.meaning)
def test_every_event_fits_the_schema(message: Message) -> None:
    assert faults(to_xml(message, "HILUM@reader1")) == []


def test_the_rules_find_what_does_not_fit() -> None:
    good = to_xml(MESSAGES[2], "x")
    assert faults(good.replace('EventActionCode="C"', 'EventActionCode="X"'))
    assert faults(good.replace("<ParticipantObjectName />", ""))
    assert faults(good.replace(' UserIsRequestor="true"', ""))
    assert faults(good.replace("AuditSourceIdentification", "AuditSource"))


def test_instances_transferred_names_source_destination_study_and_patient() -> None:
    """PS3.15 table A.5.3.7-1."""
    root = ET.fromstring(to_xml(MESSAGES[2], "x"))
    roles = [each.get("csd-code") for each in root.iterfind("ActiveParticipant/RoleIDCode")]
    assert roles == ["110153", "110152"]
    study, patient = root.iterfind("ParticipantObjectIdentification")
    assert (study.get("ParticipantObjectID"), patient.get("ParticipantObjectID")) == (
        "1.2.3",
        "4711",
    )
    assert patient.findtext("ParticipantObjectName") == SUBJECT.patient_name
    sop_class = study.find("ParticipantObjectDescription/SOPClass")
    assert sop_class is not None
    assert sop_class.get("NumberOfInstances") == "2"


def test_a_query_is_kept_as_it_was_asked() -> None:
    root = ET.fromstring(to_xml(MESSAGES[4], "x"))
    asked = root.findtext("ParticipantObjectIdentification/ParticipantObjectQuery")
    assert base64.b64decode(asked or "") == b'{"a": 1}'


@pytest.mark.parametrize("text", ["a\nb", "a\x00b", "a\x1bb", "</AuditMessage>", "a\ud800b", "￿"])
def test_hostile_text_stays_inside_one_line_of_valid_xml(text: str) -> None:
    subject = events.Subject(text, text, text, text)
    message = events.transferred(
        AT, Action.READ, source=PEER, destination=OURS, subject=subject, instances=()
    )
    xml = to_xml(message, text)
    assert len(xml.splitlines()) == 1
    assert faults(xml.encode("utf-8").decode()) == []
