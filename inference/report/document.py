"""The neutral result document: a report as JSON, for systems that do not speak DICOM.

docs/result-document.md describes it; whoever sends it on reads it by that description.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from io import BytesIO
from typing import Any

from pydicom.filereader import read_dataset

from inference.reading import Device, Finding, Reading
from inference.report import stored, words
from inference.report.header import FilmHeader
from inference.report.job import ResultObject, StudyJob
from inference.report.study import RefusedFilm, Study
from inference.report.uids import Namer
from inference.report.values import decode

SCHEMA = "hilum-result"
SCHEMA_VERSION = 1
"""Raised whenever a field changes its meaning or goes; a new field does not raise it."""

_ITEM_HEADER_BYTES = 8


def build_document(
    study: Study, job: StudyJob, namer: Namer, objects: Sequence[ResultObject]
) -> ResultObject:
    """Make the document of a report whose DICOM objects are `objects`, the SR first.

    The same job and files give the same bytes: UTF-8, no byte order mark, fields in a fixed order.
    """
    content = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "report": _report(study, job, objects[0]),
        "algorithm": _algorithm(job.device),
        "patient": _patient(study.headers[0]),
        "study": _study(study.headers[0]),
        "images": [
            *(_image(film.header, reading=film.reading) for film in study.films),
            *(_refused(film) for film in study.refused),
        ],
        "objects": [_object(each) for each in objects],
    }
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return ResultObject(
        kind="json",
        sop_class_uid="",
        sop_instance_uid=namer.instance("json"),
        series_instance_uid="",
        transfer_syntax_uid="",
        data=text.encode("utf-8"),
        source_sop_instance_uid=None,
    )


def _report(study: Study, job: StudyJob, sr: ResultObject) -> dict[str, Any]:
    decisive = words.most_suspicious(study.readings) if study.readings else None
    return {
        "uid": sr.sop_instance_uid,
        "revision": job.revision,
        "predecessor_uid": job.predecessor.sop_instance_uid if job.predecessor else None,
        "recorded_at": job.recorded_at.isoformat(timespec="microseconds"),
        "completeness": _completeness(study),
        "finding": study.finding.value,
        "probability": study.probability,
        "threshold": decisive.threshold if decisive else None,
        "sentence": words.sentence(study, job.device),
        "priority": "urgent" if job.urgent else "routine",
        "verified": False,
    }


def _completeness(study: Study) -> str:
    if study.finding is Finding.FAILED:
        return "failed"
    return "partial" if study.refused else "complete"


def _algorithm(device: Device) -> dict[str, Any]:
    return {
        "name": device.name,
        "version": device.version,
        "manufacturer": device.manufacturer,
        "device_uid": device.uid,
        "weights_sha256": device.weights_digest,
        "operating_point": device.operating_point,
        "prevalence": device.prevalence,
        "evaluation_only": device.evaluation_only,
    }


def _patient(header: FilmHeader) -> dict[str, str | None]:
    return {
        "id": _text(header, "PatientID"),
        "id_issuer": _text(header, "IssuerOfPatientID"),
        "name": _text(header, "PatientName"),
        "birth_date": _text(header, "PatientBirthDate"),
        "sex": _text(header, "PatientSex"),
    }


def _study(header: FilmHeader) -> dict[str, Any]:
    return {
        "uid": header.study_instance_uid,
        "accession_number": _text(header, "AccessionNumber"),
        "id": _text(header, "StudyID"),
        "date": _text(header, "StudyDate"),
        "time": _text(header, "StudyTime"),
        "utc_offset": header.utc_offset,
        "description": _text(header, "StudyDescription"),
        "referring_physician": _text(header, "ReferringPhysicianName"),
        "admission_id": _text(header, "AdmissionID"),
        "procedure": _procedure(header),
    }


def _procedure(header: FilmHeader) -> dict[str, str] | None:
    """Return the first code of the procedure that was performed (PS3.3 8.8)."""
    if header.procedure is None:
        return None
    body = BytesIO(header.procedure[_ITEM_HEADER_BYTES:])
    item = read_dataset(body, is_implicit_VR=False, is_little_endian=True)
    values = {
        "code": next(
            filter(None, (stored.value(item, each) for each in ("CodeValue", "LongCodeValue"))),
            stored.value(item, "URNCodeValue"),
        ),
        "scheme": stored.value(item, "CodingSchemeDesignator"),
        "meaning": stored.value(item, "CodeMeaning"),
    }
    return {name: decode(value, header.charset).strip() for name, value in values.items()}


def _image(
    header: FilmHeader | None, *, reading: Reading | None = None, refusal: object = None
) -> dict[str, Any]:
    return {
        "sop_instance_uid": header.sop_instance_uid if header else None,
        "sop_class_uid": header.sop_class_uid if header else None,
        "series_instance_uid": header.series_instance_uid if header else None,
        "reading": _reading(reading) if reading else None,
        "refusal": refusal,
    }


def _reading(reading: Reading) -> dict[str, Any]:
    return {
        "finding": reading.finding.value,
        "probability": reading.pneumonia,
        "threshold": reading.threshold,
        "classes": asdict(reading.probabilities),
        "rows": reading.rows,
        "columns": reading.columns,
        "boxes": [asdict(box) for box in reading.boxes],
    }


def _refused(film: RefusedFilm) -> dict[str, Any]:
    refusal = {"code": film.refusal.code.value, "reason": film.refusal.reason}
    return _image(film.header, refusal=refusal)


def _object(each: ResultObject) -> dict[str, str | None]:
    return {
        "kind": each.kind,
        "sop_class_uid": each.sop_class_uid,
        "sop_instance_uid": each.sop_instance_uid,
        "series_instance_uid": each.series_instance_uid,
        "of_image": each.source_sop_instance_uid,
    }


def _text(header: FilmHeader, keyword: str) -> str | None:
    """Return a value that results carry over from the film, None where it has none."""
    _, value = header.shared.get(stored.tag(keyword), ("", b""))
    return decode(value, header.charset).strip() or None
