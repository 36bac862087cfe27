"""The door of this package: a study's readings become the DICOM objects that go back to the PACS."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import cv2
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit

from inference.prepare import load_display
from inference.reading import Device, Finding, Reading, Refusal
from inference.report import words
from inference.report.equipment import encode
from inference.report.header import FilmHeader, ReportError, read_header
from inference.report.overlay import draw
from inference.report.sc import build_sc
from inference.report.sr import build_sr
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


@dataclass(frozen=True, slots=True)
class ImageResult:
    """A stored film and what became of it: a reading or a refusal, exactly one of the two."""

    path: Path
    reading: Reading | None
    refusal: Refusal | None

    def __post_init__(self) -> None:
        """Refuse both and neither."""
        if (self.reading is None) == (self.refusal is None):
            raise ValueError("an ImageResult has either a reading or a refusal")


@dataclass(frozen=True, slots=True)
class Predecessor:
    """The report that this one revises."""

    study_instance_uid: str
    series_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class StudyJob:
    """All that a report is made of.

    `recorded_at` is aware and stands in every date and time of the results; `revision` counts from
    1; `sc_max_side` is the longest side of an overlay in pixels (0: the film's own size) and
    `jpeg_quality` its JPEG quality; films with more than `max_pixels` pixels are not decoded.
    """

    images: tuple[ImageResult, ...]
    device: Device
    recorded_at: datetime
    revision: int
    predecessor: Predecessor | None
    sc_max_side: int
    jpeg_quality: int
    max_pixels: int


@dataclass(frozen=True, slots=True)
class ResultObject:
    """One object to send: a complete DICOM file. `source_sop_instance_uid` is an overlay's film."""

    kind: Literal["sr", "sc"]
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    data: bytes
    source_sop_instance_uid: str | None


@dataclass(frozen=True, slots=True)
class StudyResult:
    """What is reported of a study, and the objects that say it.

    `probability` is the highest probability of pneumonia of its images, None where none was read.
    """

    finding: Finding
    probability: float | None
    sentence: str
    sr: ResultObject
    overlays: tuple[ResultObject, ...]


def build_study(job: StudyJob) -> StudyResult:
    """Make a study's SR and one overlay per film read: the same job and files, the same bytes.

    Raises:
        ReportError: no valid result can be made of these films.
    """
    if not job.images:
        raise ReportError("a study without images has no report")
    films = [read_header(image.path) for image in job.images]
    results = [_result(image) for image in job.images]
    readings = [result for result in results if isinstance(result, Reading)]
    refusals = [result for result in results if isinstance(result, Refusal)]
    finding = study_finding(readings)
    namer = Namer(
        films[0].study_instance_uid,
        tuple(film.sop_instance_uid for film in films),
        job.device.uid,
        job.predecessor.sop_instance_uid if job.predecessor else None,
    )
    with disable_value_validation():
        sr = build_sr(
            films,
            results,
            finding,
            job.device,
            namer,
            job.recorded_at,
            job.revision,
            astuple(job.predecessor) if job.predecessor else None,
        )
        overlays = [
            _overlay(job, image, film, namer, number)
            for number, (image, film) in enumerate(zip(job.images, films, strict=True), start=1)
            if image.reading is not None
        ]
        return StudyResult(
            finding=finding,
            probability=max((reading.pneumonia for reading in readings), default=None),
            sentence=words.sentence(finding, readings, refusals, job.device),
            sr=_object("sr", sr, ExplicitVRLittleEndian, None),
            overlays=tuple(overlays),
        )


def study_finding(readings: list[Reading]) -> Finding:
    """Return what a study amounts to: the gravest finding of its images."""
    findings = {reading.finding for reading in readings}
    for finding in (Finding.OPACITY, Finding.ABNORMAL, Finding.NORMAL):
        if finding in findings:
            return finding
    return Finding.FAILED


def _result(image: ImageResult) -> Reading | Refusal:
    result = image.reading or image.refusal
    assert result is not None
    return result


def _overlay(
    job: StudyJob, image: ImageResult, film: FilmHeader, namer: Namer, number: int
) -> ResultObject:
    assert image.reading is not None
    _, pixels = load_display(image.path, job.max_pixels)
    longest = max(pixels.shape)
    if 0 < job.sc_max_side < longest:
        scale = job.sc_max_side / longest
        size = (round(pixels.shape[1] * scale), round(pixels.shape[0] * scale))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    picture = draw(pixels, image.reading, job.device)
    dataset = build_sc(film, picture, job.jpeg_quality, job.device, namer, job.recorded_at, number)
    return _object("sc", dataset, JPEGBaseline8Bit, film.sop_instance_uid)


def _object(
    kind: Literal["sr", "sc"], dataset: Dataset, transfer_syntax_uid: str, source: str | None
) -> ResultObject:
    return ResultObject(
        kind=kind,
        sop_class_uid=str(dataset.SOPClassUID),
        sop_instance_uid=str(dataset.SOPInstanceUID),
        series_instance_uid=str(dataset.SeriesInstanceUID),
        transfer_syntax_uid=transfer_syntax_uid,
        data=encode(dataset, transfer_syntax_uid),
        source_sop_instance_uid=source,
    )
