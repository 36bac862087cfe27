"""A study's report as a Comprehensive 3D SR document (PS3.3 A.35.13)."""

from __future__ import annotations

from collections.abc import Iterable

from pydicom.uid import Comprehensive3DSRStorage

import codes
from inference.report import explicit, tree, words
from inference.report.equipment import new_result
from inference.report.header import FilmHeader
from inference.report.job import Predecessor, StudyJob
from inference.report.study import Study
from inference.report.uids import Namer

SERIES_NUMBER = 9001


def build_sr(
    study: Study, content: tuple[tree.Item, ...], job: StudyJob, namer: Namer
) -> explicit.Elements:
    """Return the document that holds `content`, the children of the root container."""
    document = new_result(study.headers[0], job.device, job.recorded_at)
    document |= explicit.attributes(
        SOPClassUID=Comprehensive3DSRStorage,
        SOPInstanceUID=namer.instance("sr"),
        SeriesInstanceUID=namer.series("sr"),
        SeriesNumber=SERIES_NUMBER,
        InstanceNumber=job.revision,
        ContentDate=explicit.text(document, "InstanceCreationDate"),
        ContentTime=explicit.text(document, "InstanceCreationTime"),
        Modality="SR",
        SeriesDescription=words.series_description("report", job.device),
        ReferencedPerformedProcedureStepSequence=[],
        PerformedProcedureCodeSequence=[],
        CompletionFlag="PARTIAL" if study.refusals else "COMPLETE",
        VerificationFlag="UNVERIFIED",
        PreliminaryFlag="PRELIMINARY",
    )
    if study.refusals:
        document |= explicit.attributes(CompletionFlagDescription=words.completion(study))
    document[0x0040A375] = ("SQ", _evidence(study.headers))
    if job.predecessor is not None:
        document[0x0040A360] = ("SQ", _predecessor(job.predecessor))
    document |= tree.root(codes.REPORT_TITLE, "1500", content)
    return document


def _evidence(headers: Iterable[FilmHeader]) -> bytes:
    """Return every film of the study, by series (PS3.3 C.17.2.1)."""
    by_series: dict[str, list[bytes]] = {}
    study = ""
    for header in headers:
        study = header.study_instance_uid
        by_series.setdefault(header.series_instance_uid, []).append(
            explicit.reference(header.sop_class_uid, header.sop_instance_uid)
        )
    return _study(study, by_series)


def _predecessor(report: Predecessor) -> bytes:
    reference = explicit.reference(report.sop_class_uid, report.sop_instance_uid)
    return _study(report.study_instance_uid, {report.series_instance_uid: [reference]})


def _study(study: str, by_series: dict[str, list[bytes]]) -> bytes:
    """Return an item of the Hierarchical SOP Instance Reference (PS3.3 C.17.2.1)."""
    series_items = [
        explicit.item(
            {
                0x00081199: explicit.sequence(references),
                0x0020000E: ("UI", series.encode("ascii")),
            }
        )
        for series, references in by_series.items()
    ]
    return explicit.item(
        {
            0x00081115: explicit.sequence(series_items),
            0x0020000D: ("UI", study.encode("ascii")),
        }
    )
