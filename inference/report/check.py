"""A last look at every object before it is kept: better no result than a wrong one."""

from __future__ import annotations

import math
from io import BytesIO
from itertools import pairwise

from pydicom import dcmread
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset

from inference.report import codes, stored, tree
from inference.report.header import FilmHeader, ReportError
from inference.report.job import ResultObject
from inference.report.study import Study


def check_content(content: tuple[tree.Item, ...], study: Study) -> None:
    """Check a report's tree against the readings it was made of.

    Raises:
        ReportError: a box is not closed or leaves its image, a group is missing, a number is not
            a percentage, or the tree refers to an image that is not of the study.
    """
    sizes = {film.header.sop_instance_uid: film.reading for film in study.films}
    known = {header.sop_instance_uid for header in study.headers}
    items = [item for top in content for item in top.walk()]
    groups = [item for item in items if item.name == codes.MEASUREMENT_GROUP]
    boxes = sum(len(film.reading.boxes) for film in study.films)
    _require(len(groups) == boxes, "the report does not have one group for each box")
    for item in items:
        if isinstance(item.value, tree.Image):
            _require(item.value.sop_instance_uid in known, "the report refers to a foreign image")
        if isinstance(item.value, tree.Number) and item.value.unit == codes.PERCENT:
            _require(0 <= item.value.number <= 100, "a percentage is not between 0 and 100")
        if isinstance(item.value, tree.Polyline):
            source = item.children[0].value
            assert isinstance(source, tree.Image)
            reading = sizes.get(source.sop_instance_uid)
            _require(reading is not None, "a box lies on an image that was not read")
            assert reading is not None
            _check_box(item.value.points, reading.rows, reading.columns)


def check_report(result: ResultObject, study: Study) -> None:
    """Check an encoded report: identity, and that every image of the study is its evidence.

    Raises:
        ReportError: something is missing or differs from the films.
    """
    document = _reread(result)
    _check_identity(document, result, study.headers[0])
    evidence = [
        instance.ReferencedSOPInstanceUID
        for item in document.CurrentRequestedProcedureEvidenceSequence
        for series in item.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    ]
    _require(
        sorted(evidence) == sorted(header.sop_instance_uid for header in study.headers),
        "the evidence of the report is not the images of the study",
    )
    _require(document.VerificationFlag == "UNVERIFIED", "the report is not marked unverified")
    complete = "PARTIAL" if study.refusals else "COMPLETE"
    _require(document.CompletionFlag == complete, "the report has the wrong completion flag")


def check_overlay(result: ResultObject, film: FilmHeader, rows: int, columns: int) -> None:
    """Check an encoded overlay: identity, size, its film named as the source, a whole JPEG.

    Raises:
        ReportError: something is missing or differs from the film.
    """
    image = _reread(result)
    _check_identity(image, result, film)
    source = image.SourceImageSequence[0].ReferencedSOPInstanceUID
    _require(source == film.sop_instance_uid, "the overlay does not name its film")
    _require((image.Rows, image.Columns) == (rows, columns), "the overlay has the wrong size")
    start, end = result.data.find(b"\xff\xd8\xff"), result.data.rfind(b"\xff\xd9")
    _require(0 < start < end, "the overlay holds no complete JPEG")


def _check_box(points: tuple[tuple[float, float], ...], rows: int, columns: int) -> None:
    inside = all(
        math.isfinite(x) and math.isfinite(y) and 0 <= x <= columns and 0 <= y <= rows
        for x, y in points
    )
    _require(inside, "a box leaves its image")
    _require(len(points) == 5 and points[0] == points[-1], "a box is not closed")
    area = sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in pairwise(points)) / 2
    _require(area > 0, "a box has no area inside its image")


def _reread(result: ResultObject) -> Dataset:
    with disable_value_validation():
        return dcmread(BytesIO(result.data), stop_before_pixels=True)


def _check_identity(written: Dataset, result: ResultObject, film: FilmHeader) -> None:
    named = written.SOPClassUID, written.SOPInstanceUID, written.SeriesInstanceUID
    expected = result.sop_class_uid, result.sop_instance_uid, result.series_instance_uid
    _require(named == expected and all(named), "an object does not carry its own UIDs")
    meta = written.file_meta
    _require(
        (meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID)
        == (result.sop_instance_uid, result.transfer_syntax_uid),
        "an object's file header does not fit it",
    )
    _require(written.StudyInstanceUID == film.study_instance_uid, "an object has another study")
    for keyword in ("PatientID", "PatientName", "AccessionNumber"):
        expected_value = film.shared[stored.tag(keyword)][1].rstrip(b" \0")
        _require(
            stored.value(written, keyword) == expected_value, f"an object has another {keyword}"
        )


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise ReportError(otherwise)
