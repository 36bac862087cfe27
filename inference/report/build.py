"""The door of this package: a study's readings become the objects that go back to the PACS."""

from __future__ import annotations

from collections.abc import Sequence

from pydicom.config import disable_value_validation
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit

from inference.decode import read_header as read_shown
from inference.prepare import display_again
from inference.reading import RefusedError
from inference.report import explicit, words
from inference.report.check import check_content, check_overlay, check_report
from inference.report.content import report_content
from inference.report.document import build_document
from inference.report.equipment import encode
from inference.report.grayscale import is_grayscale
from inference.report.header import ReportError
from inference.report.job import (
    ImageResult,
    Kind,
    Predecessor,
    ResultObject,
    StudyJob,
    StudyResult,
)
from inference.report.overlay import draw
from inference.report.presentation import build_presentation
from inference.report.regions import Region, regions
from inference.report.sc import build_sc
from inference.report.sr import build_sr
from inference.report.study import Film, Study, arrange
from inference.report.uids import Namer

__all__ = [
    "ImageResult",
    "Predecessor",
    "ReportError",
    "ResultObject",
    "StudyJob",
    "StudyResult",
    "build_study",
]


def build_study(job: StudyJob) -> StudyResult:
    """Make a study's SR, an overlay per film read, and what else the job asks for.

    That may be a presentation state per film with boxes, and the neutral result document. The same
    job and files give the same bytes.

    Raises:
        ReportError: no valid result can be made of these films.
    """
    study = arrange(job)
    namer = Namer(
        study.headers[0].study_instance_uid,
        tuple(header.sop_instance_uid for header in study.headers),
        job.device.uid,
        job.predecessor.sop_instance_uid if job.predecessor else None,
    )
    with disable_value_validation():  # its warnings, while objects are checked, quote values
        sr = _report(study, job, namer)
        overlays = tuple(
            _overlay(film, number, job, namer) for number, film in enumerate(study.films, start=1)
        )
        presentations = _presentations(study, job, namer) if job.presentations else ()
        dicom = (sr, *overlays, *presentations)
        return StudyResult(
            finding=study.finding,
            probability=study.probability,
            sentence=words.sentence(study, job.device),
            sr=sr,
            overlays=overlays,
            presentations=presentations,
            document=build_document(study, job, namer, dicom) if job.document else None,
        )


def _report(study: Study, job: StudyJob, namer: Namer) -> ResultObject:
    content = report_content(study, job.device, namer)
    check_content(content, study)
    report = _object("sr", build_sr(study, content, job, namer), ExplicitVRLittleEndian, None)
    check_report(report, study)
    return report


def _overlay(film: Film, number: int, job: StudyJob, namer: Namer) -> ResultObject:
    try:
        pixels = display_again(film.path, job.max_pixels)
    except RefusedError as error:
        raise ReportError(f"a film that was read cannot be decoded again: {error}") from error
    if pixels.shape != (film.reading.rows, film.reading.columns):
        raise ReportError("a film does not have the size that its reading was made at")
    picture = draw(pixels, film.reading, job.device, max_side=job.sc_max_side)
    elements = build_sc(film.header, picture, number, job, namer)
    overlay = _object("sc", elements, JPEGBaseline8Bit, film.header.sop_instance_uid)
    check_overlay(overlay, film.header, *picture.shape[:2])
    return overlay


def _presentations(study: Study, job: StudyJob, namer: Namer) -> tuple[ResultObject, ...]:
    every = tuple(regions(study, namer))
    made = [
        _presentation(film, [each for each in every if each.film is film], number, job, namer)
        for number, film in enumerate(study.films, start=1)
        if film.reading.boxes
    ]
    return tuple(each for each in made if each is not None)


def _presentation(
    film: Film, marked: Sequence[Region], number: int, job: StudyJob, namer: Namer
) -> ResultObject | None:
    try:
        shown = read_shown(film.path)
    except RefusedError as error:
        raise ReportError(f"a film that was read cannot be parsed again: {error}") from error
    if not is_grayscale(shown):
        return None
    elements = build_presentation(film, shown, marked, number, job, namer)
    return _object("gsps", elements, ExplicitVRLittleEndian, film.header.sop_instance_uid)


def _object(
    kind: Kind,
    elements: explicit.Elements,
    transfer_syntax_uid: str,
    source: str | None,
) -> ResultObject:
    return ResultObject(
        kind=kind,
        sop_class_uid=explicit.text(elements, "SOPClassUID"),
        sop_instance_uid=explicit.text(elements, "SOPInstanceUID"),
        series_instance_uid=explicit.text(elements, "SeriesInstanceUID"),
        transfer_syntax_uid=str(transfer_syntax_uid),
        data=encode(elements, transfer_syntax_uid),
        source_sop_instance_uid=source,
    )
