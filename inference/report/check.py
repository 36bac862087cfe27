"""A last look at every object before it is kept: better no result than a wrong one."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from itertools import pairwise

import codes
from inference.report import stored, tree
from inference.report.conform import conforming, references, text
from inference.report.content_tree import check_tree
from inference.report.header import FilmHeader, ReportError
from inference.report.iods import Parsed
from inference.report.job import Predecessor, ResultObject
from inference.report.regions import Region, closed_box
from inference.report.study import Film, Study

_EVIDENCE = stored.tag("CurrentRequestedProcedureEvidenceSequence")
_PREDECESSORS = stored.tag("PredecessorDocumentsSequence")
_LAYER = stored.tag("GraphicLayer")


def check_content(content: tuple[tree.Item, ...], study: Study) -> None:
    """Check a report's tree against the readings it was made of.

    Raises:
        ReportError: a box is not closed or leaves its image, a group is missing, a number is not
            a percentage, or the tree refers to an image that is not of the study.
    """
    for film in study.films:
        check_film(film)
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


def check_film(film: Film) -> None:
    """Check that a film has the size that its reading speaks of, and that all boxes lie on it.

    Raises:
        ReportError: the film has another size, a box leaves it or has no area, or a score is none.
    """
    reading = film.reading
    _require(
        (film.header.rows, film.header.columns) == (reading.rows, reading.columns),
        "a film does not have the size that its reading was made at",
    )
    for box in reading.boxes:
        _check_box(closed_box(box, reading), reading.rows, reading.columns)
        _require(0 <= box.score <= 1, "the score of a box is not between 0 and 1")


def check_report(result: ResultObject, study: Study, predecessor: Predecessor | None) -> None:
    """Check an encoded report: its IOD, its tree, and that it speaks of this study alone.

    Raises:
        ReportError: something is missing, not allowed, or differs from the films.
    """
    document = conforming("sr", result.data)
    check_tree(document)
    _check_identity(document, result, study.headers[0])
    _check_references(document, study.headers, but=_PREDECESSORS)
    evidence = [uid for _, uid in references({_EVIDENCE: document[_EVIDENCE]})]
    _require(
        sorted(evidence) == sorted(header.sop_instance_uid for header in study.headers),
        "the evidence of the report is not the images of the study",
    )
    complete = "PARTIAL" if study.refusals else "COMPLETE"
    _require(
        text(document, stored.tag("CompletionFlag")) == complete,
        "the report has the wrong completion flag",
    )
    before = (
        []
        if _PREDECESSORS not in document
        else [uid for _, uid in references({_PREDECESSORS: document[_PREDECESSORS]})]
    )
    expected = [] if predecessor is None else [predecessor.sop_instance_uid]
    _require(before == expected, "the report does not name the one that it revises")


def check_overlay(result: ResultObject, film: FilmHeader, rows: int, columns: int) -> None:
    """Check an encoded overlay: its IOD, its film named as the source, a whole JPEG of its size.

    Raises:
        ReportError: something is missing, not allowed, or differs from the film.
    """
    image = conforming("sc", result.data)
    _check_identity(image, result, film)
    _check_references(image, [film])
    size = _number(image, "Rows"), _number(image, "Columns")
    _require(size == (rows, columns), "the overlay has the wrong size")
    bits = [_number(image, name) for name in ("BitsAllocated", "BitsStored", "HighBit")]
    _require(bits == [8, 8, 7], "the overlay does not say 8 bits")
    channels = _number(image, "SamplesPerPixel"), _number(image, "PlanarConfiguration")
    _require(channels == (3, 0), "the overlay does not say three colours, pixel by pixel")
    start, end = result.data.find(b"\xff\xd8\xff"), result.data.rfind(b"\xff\xd9")
    _require(0 < start < end, "the overlay holds no complete JPEG")


def check_presentation(result: ResultObject, film: FilmHeader, marked: Sequence[Region]) -> None:
    """Check an encoded presentation state: its IOD, its film, and that it draws what is marked.

    Raises:
        ReportError: something is missing, not allowed, or differs from the film or its regions.
    """
    state = conforming("gsps", result.data)
    _check_identity(state, result, film)
    _check_references(state, [film])
    drawn = [
        item
        for annotation in _items(state, "GraphicAnnotationSequence")
        for item in _items(annotation, "GraphicObjectSequence")
    ]
    tracked = [text(item, stored.tag("TrackingUID")) for item in drawn]
    _require(
        tracked == [region.tracking_uid for region in marked],
        "a presentation state does not draw the boxes of its film",
    )
    for item, region in zip(drawn, marked, strict=True):
        points = _points(item)
        _check_box(points, region.film.reading.rows, region.film.reading.columns)
        _require(
            _number(item, "NumberOfGraphicPoints") == len(points),
            "a presentation state counts its points wrongly",
        )
    layers = {text(each, _LAYER) for each in _items(state, "GraphicLayerSequence")}
    used = {text(each, _LAYER) for each in _items(state, "GraphicAnnotationSequence")}
    _require(used <= layers, "a presentation state draws on a layer that it does not have")


def _check_box(points: tuple[tuple[float, float], ...], rows: int, columns: int) -> None:
    inside = all(
        math.isfinite(x) and math.isfinite(y) and 0 <= x <= columns and 0 <= y <= rows
        for x, y in points
    )
    _require(inside, "a box leaves its image")
    _require(len(points) == 5 and points[0] == points[-1], "a box is not closed")
    area = sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in pairwise(points)) / 2
    _require(area > 0, "a box has no area inside its image")


def _check_identity(written: Parsed, result: ResultObject, film: FilmHeader) -> None:
    named = tuple(
        text(written, stored.tag(keyword))
        for keyword in ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID")
    )
    expected = result.sop_class_uid, result.sop_instance_uid, result.series_instance_uid
    _require(named == expected and all(named), "an object does not carry its own UIDs")
    head = tuple(
        text(written, stored.tag(keyword))
        for keyword in (
            "MediaStorageSOPClassUID",
            "MediaStorageSOPInstanceUID",
            "TransferSyntaxUID",
        )
    )
    _require(
        head == (result.sop_class_uid, result.sop_instance_uid, result.transfer_syntax_uid),
        "an object's file header does not fit it",
    )
    study = text(written, stored.tag("StudyInstanceUID"))
    _require(study == film.study_instance_uid, "an object has another study")
    for keyword in ("PatientID", "PatientName", "AccessionNumber"):
        tag = stored.tag(keyword)
        expected_value = film.shared[tag][1].rstrip(b" \0")
        _require(written[tag][1] == expected_value, f"an object has another {keyword}")


def _check_references(written: Parsed, films: Iterable[FilmHeader], *, but: int = 0) -> None:
    """Check that every instance that is referred to is one of `films`, by its own SOP class."""
    known = {(film.sop_class_uid, film.sop_instance_uid) for film in films}
    _require(
        set(references(written, but=but)) <= known,
        "an object refers to an instance that is not among those of its study that it speaks of",
    )


def _items(parsed: Parsed, keyword: str) -> list[Parsed]:
    value = parsed[stored.tag(keyword)][1]
    return value if isinstance(value, list) else []


def _number(parsed: Parsed, keyword: str) -> int:
    value = parsed[stored.tag(keyword)][1]
    return int.from_bytes(value[:2], "little") if isinstance(value, bytes) else -1


def _points(item: Parsed) -> tuple[tuple[float, float], ...]:
    """Return Graphic Data as (column, row) points."""
    value = item[stored.tag("GraphicData")][1]
    flat = struct.unpack(f"<{len(value) // 4}f", value) if isinstance(value, bytes) else ()
    return tuple(zip(flat[::2], flat[1::2], strict=True))


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise ReportError(otherwise)
