"""The result document as FHIR R4 resources (hl7.org/fhir/R4), in one transaction."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.device import Device
from fhir.resources.R4B.diagnosticreport import DiagnosticReport
from fhir.resources.R4B.observation import Observation
from pydicom.sr.coding import Code

import codes
from scp_service.destinations.document import Document

_URI = "urn:ietf:rfc:3986"
_DICOM_UID = "urn:dicom:uid"
_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"

_SCHEMES = {
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "LN": "http://loinc.org",
    "SCT": "http://snomed.info/sct",
}
"""URIs of coding schemes (PS3.16 table 8-1); codes of others are named without one."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Systems:
    """The site's URIs for its systems of identifiers, where it has any."""

    patient: str | None = None
    accession: str | None = None


def transaction(document: Document, systems: Systems) -> Bundle:
    """Return what is to be written: the report of a study, its observations, and the algorithm.

    Every resource is found again by its identifier, so that a later revision, or the same report
    once more, replaces what stands there and never adds a second one.
    """
    algorithm = _full_url(_algorithm_id(document))
    observations = [
        (_study_id(document, name), observation)
        for name, observation in _observations(document, systems, algorithm)
    ]
    results = [{"reference": _full_url(uid)} for uid, _ in observations]
    entries = [
        _entry(_algorithm_id(document), _device(document)),
        *(_entry(uid, Observation(**observation)) for uid, observation in observations),
        _entry(_report_id(document), _report(document, systems, results)),
    ]
    return Bundle(type="transaction", entry=entries)


def report_search(document: Document) -> str:
    """Return the query that finds the report of the document's study, of whatever revision."""
    return _query("DiagnosticReport", _report_id(document))


def _entry(uid: uuid.UUID, resource: Any) -> Json:
    url = _query(resource.get_resource_type(), uid)
    request = {"method": "PUT", "url": url}
    return {"fullUrl": _full_url(uid), "resource": resource, "request": request}


def _query(resource_type: str, uid: uuid.UUID) -> str:
    return f"{resource_type}?identifier={quote(f'{_URI}|{_oid(uid)}', safe='')}"


def _report(document: Document, systems: Systems, results: list[Json]) -> DiagnosticReport:
    report, study = document.report, document.study
    procedure = study.procedure
    what = Code(procedure.code, procedure.scheme, procedure.meaning) if procedure else None
    return DiagnosticReport(
        identifier=[_identifier(_report_id(document)), _dicom_identifier(report.uid)],
        **_order(document, systems),
        # Never final: nobody has verified it. "Partial" also where some images were not read.
        status="preliminary" if report.completeness == "complete" else "partial",
        category=[{"coding": [{"system": f"{_TERMINOLOGY}/v2-0074", "code": "RAD"}]}],
        code=_concept(what or codes.PLAIN_CHEST_XRAY),
        **_about(document, systems),
        result=results,
        imagingStudy=[{"type": "ImagingStudy", "identifier": _dicom_identifier(study.uid)}],
        conclusion=report.sentence,
    )


def _observations(
    document: Document, systems: Systems, algorithm: str
) -> Iterator[tuple[str, Json]]:
    """Yield the SR's evaluations of the study, in the same codes, each with a name of its own."""
    report, finding = document.report, document.report.finding
    opacity, abnormal = finding == "opacity", finding in ("opacity", "abnormal")
    for code, value, positive in (
        (codes.PNEUMONIA, codes.presence(finding), opacity),
        (codes.ABNORMAL_OPACITY, codes.presence(finding), opacity),
        (codes.NORMALITY, codes.normality(finding), abnormal),
    ):
        observation: Json = {
            "identifier": [_identifier(_study_id(document, code.value))],
            "category": [
                {"coding": [{"system": f"{_TERMINOLOGY}/observation-category", "code": "imaging"}]}
            ],
            "code": _concept(code),
            "status": "preliminary",
            "device": {"reference": algorithm},
            **_about(document, systems),
        }
        if finding == "failed":
            # No result can be obtained, which nobody takes for a negative one.
            observation["status"] = "cancelled"
            observation["dataAbsentReason"] = _hl7_concept("data-absent-reason", "not-performed")
        else:
            observation["valueCodeableConcept"] = _concept(value)
        if positive:
            abnormal_flag = _hl7_concept("v3-ObservationInterpretation", "A")
            observation["interpretation"] = [abnormal_flag]
        if code is codes.PNEUMONIA and report.probability is not None:
            observation["component"] = [_probability(report.probability, report.threshold)]
        yield code.value, observation


def _probability(probability: float, threshold: float | None) -> Json:
    component: Json = {
        "code": _concept(codes.PROBABILITY),
        "valueQuantity": _percent(probability),
    }
    if threshold is not None:
        component["referenceRange"] = [
            {"high": _percent(threshold), "text": "below the threshold of a positive finding"}
        ]
    return component


def _device(document: Document) -> Device:
    algorithm = document.algorithm
    evaluation = [{"text": "For evaluation, not for clinical use."}]
    return Device(
        identifier=[
            _identifier(_algorithm_id(document)),
            _dicom_identifier(algorithm.device_uid),
        ],
        status="active",
        manufacturer=algorithm.manufacturer,
        deviceName=[{"name": algorithm.name, "type": "model-name"}],
        version=[{"value": algorithm.version}],
        note=evaluation if algorithm.evaluation_only else None,
    )


def _about(document: Document, systems: Systems) -> Json:
    """Return what the report and its observations share: of whom, of when, when said."""
    patient = document.patient
    subject: Json = {"type": "Patient"}
    if patient.id is not None:
        subject["identifier"] = {"value": patient.id}
        if systems.patient is not None:
            subject["identifier"]["system"] = systems.patient
        if patient.id_issuer is not None:
            subject["identifier"]["assigner"] = {"display": patient.id_issuer}
    if patient.name is not None:
        subject["display"] = patient.name
    shared: Json = {"issued": document.report.recorded_at}
    if len(subject) > 1:
        shared["subject"] = subject
    if taken := _taken(document):
        shared["effectiveDateTime"] = taken
    return shared


def _order(document: Document, systems: Systems) -> Json:
    accession = document.study.accession_number
    if accession is None:
        return {}
    identifier: Json = {
        "type": _hl7_concept("v2-0203", "ACSN"),
        "value": accession,
    }
    if systems.accession is not None:
        identifier["system"] = systems.accession
    return {"basedOn": [{"type": "ServiceRequest", "identifier": identifier}]}


def _taken(document: Document) -> str | None:
    """Write study date and time as a dateTime, which has no time without an offset from UTC."""
    date, time, offset = document.study.date, document.study.time, document.study.utc_offset
    if date is None or len(date) != 8 or not date.isdigit():
        return None
    day = f"{date[:4]}-{date[4:6]}-{date[6:]}"
    clock = (time or "").split(".")[0]
    if offset is None or len(clock) != 6:
        return day
    return f"{day}T{clock[:2]}:{clock[2:4]}:{clock[4:]}{offset[:3]}:{offset[3:]}"


def _percent(share: float) -> Json:
    value = Decimal(f"{share * 100:.2f}")
    return {"value": value, "unit": "%", "system": "http://unitsofmeasure.org", "code": "%"}


def _concept(code: Code) -> Json:
    coding = {"code": code.value, "display": code.meaning}
    if code.scheme_designator in _SCHEMES:
        coding["system"] = _SCHEMES[code.scheme_designator]
    return {"coding": [coding], "text": code.meaning}


def _hl7_concept(system: str, code: str) -> Json:
    return {"coding": [{"system": f"{_TERMINOLOGY}/{system}", "code": code}]}


def _report_id(document: Document) -> uuid.UUID:
    return _study_id(document, "report")


def _study_id(document: Document, name: str) -> uuid.UUID:
    return uuid.uuid5(uuid.NAMESPACE_OID, f"fhir {name} {document.study.uid}")


def _algorithm_id(document: Document) -> uuid.UUID:
    algorithm = document.algorithm
    named = f"fhir {algorithm.device_uid} {algorithm.name} {algorithm.version}"
    return uuid.uuid5(uuid.NAMESPACE_OID, named)


def _identifier(uid: uuid.UUID) -> Json:
    return {"system": _URI, "value": _oid(uid)}


def _dicom_identifier(uid: str) -> Json:
    return {"system": _DICOM_UID, "value": f"urn:oid:{uid}"}


def _oid(uid: uuid.UUID) -> str:
    return f"urn:oid:2.25.{uid.int}"


def _full_url(uid: uuid.UUID) -> str:
    return f"urn:uuid:{uid}"
