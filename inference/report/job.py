"""What goes into a report and what comes out: plain data that travels between processes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from inference.reading import Device, Finding, Reading, Refusal
from inference.report.look import Overlays

Kind = Literal["sr", "sc", "gsps", "json"]
"""Structured Report, Secondary Capture, Grayscale Softcopy Presentation State, and the document."""


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
    1; `overlays` are the overlays to make and for whom, each look once, and `jpeg_quality` their
    JPEG quality; films with more than `max_pixels` pixels are not decoded.
    `presentations` asks for presentation states too, `document` for the neutral result document,
    which says whether the study is `urgent`.
    """

    images: tuple[ImageResult, ...]
    device: Device
    recorded_at: datetime
    revision: int
    predecessor: Predecessor | None
    jpeg_quality: int
    max_pixels: int
    overlays: tuple[Overlays, ...] = (Overlays(),)
    presentations: bool = False
    document: bool = False
    urgent: bool = False

    def __post_init__(self) -> None:
        """Refuse a time without a zone and a revision before the first."""
        if self.recorded_at.tzinfo is None:
            raise ValueError("recorded_at needs a time zone")
        if self.revision < 1:
            raise ValueError("revision counts from 1")


@dataclass(frozen=True, slots=True)
class ResultObject:
    """One object to send: a complete DICOM file, or the result document.

    `source_sop_instance_uid` is the film of an overlay or a presentation. The document has no SOP
    class, series or transfer syntax, so these are empty; its `sop_instance_uid` is made as the
    others' are. `destinations` are the only ones that it may go to; None: all that ask for its
    kind.
    """

    kind: Kind
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    data: bytes
    source_sop_instance_uid: str | None
    destinations: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class StudyResult:
    """What is reported of a study, and the objects that say it.

    `probability` is the highest probability of pneumonia of its images, None where none was read.
    `stopped` tells, in a sentence each, which objects are not valid and so not among `objects`, and
    why.
    """

    finding: Finding
    probability: float | None
    sentence: str
    objects: tuple[ResultObject, ...]
    stopped: tuple[str, ...] = ()

    @property
    def sr(self) -> ResultObject:
        """The Structured Report.

        Raises:
            LookupError: it was stopped.
        """
        (report,) = self.of_kind("sr") or (None,)
        if report is None:
            raise LookupError("the report was stopped")
        return report

    @property
    def overlays(self) -> tuple[ResultObject, ...]:
        """The Secondary Captures."""
        return self.of_kind("sc")

    @property
    def presentations(self) -> tuple[ResultObject, ...]:
        """The presentation states."""
        return self.of_kind("gsps")

    @property
    def document(self) -> ResultObject | None:
        """The neutral result document, where it was asked for."""
        return next(iter(self.of_kind("json")), None)

    def of_kind(self, kind: Kind) -> tuple[ResultObject, ...]:
        """Return the objects of a kind."""
        return tuple(each for each in self.objects if each.kind == kind)
