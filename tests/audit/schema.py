"""The rules of the audit message schema (PS3.15 A.5.1), as far as its structure goes."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from datetime import datetime
from xml.etree import ElementTree as ET

CODED = ({"csd-code", "codeSystemName", "originalText"}, {"displayName"}, "")
# Element: attributes that it needs, attributes that it may have, its children in order.
ELEMENTS: dict[str, tuple[set[str], set[str], str]] = {
    "AuditMessage": (
        set(),
        set(),
        "EventIdentification (ActiveParticipant )+AuditSourceIdentification "
        "(ParticipantObjectIdentification )*",
    ),
    "EventIdentification": (
        {"EventDateTime", "EventOutcomeIndicator"},
        {"EventActionCode"},
        "EventID (EventTypeCode )*(EventOutcomeDescription )?",
    ),
    "EventID": CODED,
    "EventTypeCode": CODED,
    "EventOutcomeDescription": (set(), set(), ""),
    "ActiveParticipant": (
        {"UserID", "UserIsRequestor"},
        {"AlternativeUserID", "UserName", "NetworkAccessPointID", "NetworkAccessPointTypeCode"},
        "(RoleIDCode )*(MediaIdentifier )?",
    ),
    "RoleIDCode": CODED,
    "MediaIdentifier": (set(), set(), "MediaType "),
    "MediaType": CODED,
    "AuditSourceIdentification": (
        {"AuditSourceID"},
        {"AuditEnterpriseSiteID"},
        "(AuditSourceTypeCode )*",
    ),
    "AuditSourceTypeCode": ({"csd-code"}, {"codeSystemName", "displayName", "originalText"}, ""),
    "ParticipantObjectIdentification": (
        {"ParticipantObjectID"},
        {
            "ParticipantObjectTypeCode",
            "ParticipantObjectTypeCodeRole",
            "ParticipantObjectDataLifeCycle",
            "ParticipantObjectSensitivity",
        },
        "ParticipantObjectIDTypeCode (ParticipantObjectName |ParticipantObjectQuery )"
        "(ParticipantObjectDetail )*(ParticipantObjectDescription )*",
    ),
    "ParticipantObjectIDTypeCode": CODED,
    "ParticipantObjectName": (set(), set(), ""),
    "ParticipantObjectQuery": (set(), set(), ""),
    "ParticipantObjectDetail": ({"type", "value"}, set(), ""),
    "ParticipantObjectDescription": (
        set(),
        set(),
        "(MPPS )*(Accession )*(SOPClass )*(ParticipantObjectContainsStudy )?(Encrypted )?"
        "(Anonymized )?",
    ),
    "Accession": ({"Number"}, set(), ""),
    "SOPClass": ({"NumberOfInstances"}, {"UID"}, "(Instance )*"),
}
VALUES = {
    "EventActionCode": "[CRUDE]",
    "EventOutcomeIndicator": "0|4|8|12",
    "UserIsRequestor": "true|false",
    "NetworkAccessPointTypeCode": "[1-5]",
    "ParticipantObjectTypeCode": "[1-4]",
    "ParticipantObjectTypeCodeRole": "[1-9]|1[0-9]|2[0-6]",
    "ParticipantObjectDataLifeCycle": "[1-9]|1[0-5]",
    "NumberOfInstances": r"\d+",
}


def faults(xml: str) -> list[str]:
    """List how a message breaks the schema; none where it is valid."""
    root = ET.fromstring(xml)
    if root.tag != "AuditMessage":
        return [f"the root is {root.tag}"]
    return list(_faults(root))


def _faults(element: ET.Element) -> Iterator[str]:
    if element.tag not in ELEMENTS:
        yield f"{element.tag} is unknown"
        return
    needed, allowed, children = ELEMENTS[element.tag]
    given = set(element.keys())
    if missing := needed - given:
        yield f"{element.tag} lacks {missing}"
    if unknown := given - needed - allowed:
        yield f"{element.tag} may not have {unknown}"
    for name, value in element.items():
        if not re.fullmatch(VALUES.get(name, ".*"), value):
            yield f"{name} may not be {value}"
    at = element.get("EventDateTime")
    if at is not None and datetime.fromisoformat(at).tzinfo is None:
        yield "EventDateTime has no time zone"
    if not re.fullmatch(children, "".join(f"{child.tag} " for child in element)):
        yield f"{element.tag} may not hold {[child.tag for child in element]}"
    encoded = element.get("value") if element.tag == "ParticipantObjectDetail" else None
    if element.tag == "ParticipantObjectQuery":
        encoded = element.text
    if encoded is not None:
        base64.b64decode(encoded, validate=True)
    for child in element:
        yield from _faults(child)
