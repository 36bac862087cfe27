"""The door of this package: a study's readings become the objects that go back to the PACS."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit

from inference.decode import read_header as read_shown
from inference.prepare import display_again
from inference.reading import RefusedError
from inference.report import explicit, words
from inference.report.check import (
    check_content,
    check_film,
    check_overlay,
    check_presentation,
    check_report,
)
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
from inference.report.look import Look
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
    job and files give the same bytes. An object that is not valid is stopped alone.

    Raises:
        ReportError: no valid result can be made of these films.
        OSError: a film cannot be read.
    """
    study = arrange(job)
    namer = Namer(
        study.headers[0].study_instance_uid,
        tuple(header.sop_instance_uid for header in study.headers),
        job.device.uid,
        _before(job),
    )
    made: list[ResultObject] = []
    stopped: list[str] = []
    for what, make in _makers(study, job, namer):
        try:
            made += make()
        except ReportError as error:
            stopped.append(f"{what} is not sent: {error}")
        except (OSError, MemoryError):
            raise
        except Exception as error:  # its text may hold patient data
            kind = type(error).__name__
            stopped.append(f"{what} is not sent: an unforeseen error of the kind {kind}")
    if not made:
        raise ReportError("; ".join(stopped))
    if job.document and made[0].kind == "sr":
        made.append(build_document(study, job, namer, made))
    elif job.document:
        stopped.append("the result document is not sent: it speaks of a report that is stopped")
    return StudyResult(
        finding=study.finding,
        probability=study.probability,
        sentence=words.sentence(study, job.device),
        objects=tuple(made),
        stopped=tuple(stopped),
    )


def _before(job: StudyJob) -> str | None:
    """Return what tells a revision's UIDs from those of the revision before it."""
    if job.predecessor is not None:
        return job.predecessor.sop_instance_uid
    # The report before was stopped, and there is none to name; its overlays may have been sent.
    return f"revision {job.revision}" if job.revision > 1 else None


_Make = Callable[[], Iterable[ResultObject]]


def _makers(study: Study, job: StudyJob, namer: Namer) -> Iterator[tuple[str, _Make]]:
    """Yield what is to be made, the report first, each with its name for people."""
    yield "the report", partial(_report, study, job, namer)
    every = tuple(regions(study, namer))
    for number, film in enumerate(study.films, start=1):
        for look, destinations in _wanted(film, study, job).items():
            yield (
                f"the overlay of image {number}",
                partial(_overlay, film, number, job, namer, look, destinations),
            )
    for number, film in enumerate(study.films, start=1):
        marked = tuple(each for each in every if each.film is film)
        if job.presentations and marked:
            yield (
                f"the presentation state of image {number}",
                partial(_presentation, film, marked, number, job, namer),
            )


def _report(study: Study, job: StudyJob, namer: Namer) -> Iterator[ResultObject]:
    content = report_content(study, job.device, namer)
    check_content(content, study)
    report = _object("sr", build_sr(study, content, job, namer), ExplicitVRLittleEndian, None)
    check_report(report, study, job.predecessor)
    yield report


def _wanted(film: Film, study: Study, job: StudyJob) -> dict[Look, tuple[str, ...] | None]:
    """Return the looks that are asked of a film's overlay, each with its destinations."""
    wanted: dict[Look, tuple[str, ...] | None] = {}
    for each in job.overlays:
        if not each.covers(film.reading, study.finding):
            continue
        others = wanted.setdefault(each.look, ())
        if each.destination is None or others is None:
            wanted[each.look] = None
        else:
            wanted[each.look] = (*others, each.destination)
    return wanted


def _overlay(
    film: Film,
    number: int,
    job: StudyJob,
    namer: Namer,
    look: Look,
    destinations: tuple[str, ...] | None,
) -> Iterator[ResultObject]:
    check_film(film)
    try:
        pixels = display_again(film.path, job.max_pixels)
    except RefusedError as error:
        raise ReportError(f"a film that was read cannot be decoded again: {error}") from error
    if pixels.shape != (film.reading.rows, film.reading.columns):
        raise ReportError("a film does not have the size that its reading was made at")
    picture = draw(pixels, film.reading, job.device, look)
    elements = build_sc(film.header, picture, number, job, namer, look)
    overlay = _object("sc", elements, JPEGBaseline8Bit, film.header.sop_instance_uid)
    check_overlay(overlay, film.header, *picture.shape[:2])
    yield replace(overlay, destinations=destinations)


def _presentation(
    film: Film, marked: Sequence[Region], number: int, job: StudyJob, namer: Namer
) -> Iterator[ResultObject]:
    """Make the presentation state of a film, none of one in colour."""
    check_film(film)
    try:
        shown = read_shown(film.path)
    except RefusedError as error:
        raise ReportError(f"a film that was read cannot be parsed again: {error}") from error
    if is_grayscale(shown):
        elements = build_presentation(film, shown, marked, number, job, namer)
        state = _object("gsps", elements, ExplicitVRLittleEndian, film.header.sop_instance_uid)
        check_presentation(state, film.header, marked)
        yield state


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
