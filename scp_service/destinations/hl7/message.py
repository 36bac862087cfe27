"""The result document as an ORU^R01 message. No effects.

As HL7 2.5.1 chapter 7 defines the message and IHE RAD TF-2 4.128 (Send Imaging Result) uses it;
docs/destinations.md holds the table of what goes where.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import hl7
from pydicom.sr.coding import Code

import codes
from scp_service.destinations.document import Document
from scp_service.destinations.hl7.segments import Component, Field, add_segment
from scp_service.destinations.hl7.values import dicom_moment, moment, xcn, xpn

ENCODINGS: Mapping[str, str] = {
    "ASCII": "ascii",
    "8859/1": "iso8859-1",
    "8859/15": "iso8859-15",
    "UNICODE UTF-8": "utf-8",
}
"""Character sets of MSH-18 (table 0211) and Python's names for them."""

_CONTROL_ID_LENGTH = 20  # MSH-10 in 2.5.1
_HAS_TQ1 = frozenset({"2.5", "2.5.1"})

Fields = Mapping[int, Field]


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a site decides about its messages: MSH, and which fields hold the accession number.

    `accession_fields` are among OBR-2, OBR-3 and OBR-18; ORC-2 and ORC-3 follow their OBR fields.
    """

    sending_application: str
    sending_facility: str
    receiving_application: str
    receiving_facility: str
    processing_id: str
    version: str
    charset: str
    accession_fields: tuple[str, ...]


def control_id(document: Document) -> str:
    """Return MSH-10 of a document's message: the same report always has the same."""
    digest = hashlib.sha256(document.report.uid.encode("ascii")).digest()
    return base64.b32encode(digest).decode("ascii")[:_CONTROL_ID_LENGTH]


def oru(document: Document, envelope: Envelope) -> bytes:
    """Return a document's message, encoded: the same document, the same bytes.

    What the character set does not have becomes a question mark.
    """
    accession = dict.fromkeys(envelope.accession_fields, document.study.accession_number)
    message = hl7.Message(sequence=[])
    add_segment(message, "MSH", _msh(document, envelope))
    add_segment(message, "PID", _pid(document))
    if document.study.admission_id or document.study.referring_physician:
        add_segment(message, "PV1", _pv1(document))
    order: Fields = {1: "RE", 2: accession.get("OBR-2"), 3: accession.get("OBR-3")}
    add_segment(message, "ORC", order)
    add_segment(message, "OBR", _obr(document, accession))
    if envelope.version in _HAS_TQ1:
        add_segment(message, "TQ1", {1: "1", 9: _priority(document)})
    for number, observation in enumerate(_observations(document), start=1):
        add_segment(message, "OBX", {1: str(number), **observation})
    return str(message).encode(ENCODINGS[envelope.charset], "replace")


def _msh(document: Document, envelope: Envelope) -> Fields:
    return {
        3: envelope.sending_application,
        4: envelope.sending_facility,
        5: envelope.receiving_application,
        6: envelope.receiving_facility,
        7: moment(document.report.recorded_at),
        9: ("ORU", "R01", "ORU_R01"),
        10: control_id(document),
        11: envelope.processing_id,
        12: envelope.version,
        18: None if envelope.charset == "ASCII" else envelope.charset,
    }


def _pid(document: Document) -> Fields:
    patient = document.patient
    return {
        1: "1",
        3: (patient.id, None, None, patient.id_issuer),
        5: xpn(patient.name),
        7: patient.birth_date,
        8: patient.sex,
    }


def _pv1(document: Document) -> Fields:
    # Patient class U (table 0004): the films do not say whether the patient was admitted.
    study = document.study
    return {1: "1", 2: "U", 8: xcn(study.referring_physician), 19: study.admission_id}


def _obr(document: Document, accession: Mapping[str, str | None]) -> Fields:
    study, procedure, priority = document.study, document.study.procedure, _priority(document)
    what = Code(procedure.code, procedure.scheme, procedure.meaning) if procedure else None
    return {
        1: "1",
        2: accession.get("OBR-2"),
        3: accession.get("OBR-3"),
        4: _ce(what or codes.PLAIN_CHEST_XRAY),
        5: priority,
        7: dicom_moment(study.date, study.time, study.utc_offset),
        16: xcn(study.referring_physician),
        18: accession.get("OBR-18"),
        22: moment(document.report.recorded_at),
        24: "RAD",
        # A revision corrects the report (table 0123); its observations are preliminary again.
        25: "P" if document.report.predecessor_uid is None else "C",
        27: (None, None, None, None, None, priority),
    }


def _observations(document: Document) -> list[Fields]:
    """Return OBX segments: the SR's evaluations in the same codes, and whose they are."""
    report, algorithm = document.report, document.algorithm
    common: Fields = {
        11: "P",
        14: moment(report.recorded_at),
        17: (None, f"{algorithm.name} {algorithm.version}"),
        18: (algorithm.name, None, algorithm.device_uid, "ISO"),
    }
    complete = report.completeness == "complete"
    summary = codes.processing_summary(report.finding, complete=complete)
    return [
        {2: "ST", 3: _ce(codes.DICOM_STUDY), 5: document.study.uid, 11: "O"},
        *({**common, **evaluation} for evaluation in _evaluations(document)),
        {**common, 2: "CE", 3: _ce(codes.PROCESSING_SUMMARY), 5: _ce(summary)},
        {
            **common,
            2: "TX",
            3: (*_ce(codes.COMMENT), *_ce(codes.RADIOLOGY_OBSERVATION)),
            5: report.sentence,
        },
        {**common, 2: "ST", 3: _ce(codes.SR_INSTANCE), 5: report.uid},
    ]


def _evaluations(document: Document) -> list[Fields]:
    report, finding = document.report, document.report.finding
    presence, normality = codes.presence(finding), codes.normality(finding)
    opacity = "A" if finding == "opacity" else None
    abnormal = "A" if finding in ("opacity", "abnormal") else None
    # X: no result can be obtained (table 0085), which nobody takes for a negative one.
    status = "X" if finding == "failed" else "P"
    found: list[Fields] = [
        {2: "CE", 3: _ce(codes.PNEUMONIA), 4: "1", 5: _ce(presence), 8: opacity, 11: status},
        {2: "CE", 3: _ce(codes.ABNORMAL_OPACITY), 5: _ce(presence), 8: opacity, 11: status},
        {2: "CE", 3: _ce(codes.NORMALITY), 5: _ce(normality), 8: abnormal, 11: status},
    ]
    if report.probability is not None and report.threshold is not None:
        probability: Fields = {
            2: "NM",
            3: _ce(codes.PROBABILITY),
            4: "1",
            5: _percent(report.probability),
            6: ("%", "percent", "UCUM"),
            7: f"<{_percent(report.threshold)}",
            8: opacity,
        }
        found.insert(1, probability)
    return found


def _priority(document: Document) -> str:
    """Return "as soon as possible" or "routine" (table 0485)."""
    return "A" if document.report.priority == "urgent" else "R"


def _ce(code: Code) -> tuple[Component, ...]:
    return code.value, code.meaning, code.scheme_designator


def _percent(share: float) -> str:
    return f"{share * 100:.2f}"
