"""Reports of made-up films that differ in one thing each: what changes with it comes from there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset

from inference.reading import Box, Probabilities
from inference.report.build import ImageResult, StudyResult, build_study
from inference.report.job import Kind, Predecessor
from tests.inference.report.studies import (
    ABNORMAL,
    DEVICE,
    NORMAL,
    OPACITY,
    film,
    job,
    read,
    refused,
)


@dataclass(frozen=True)
class Samples:
    """Results of one study, and of others that differ from it in one input each, by its name.

    `others` differ in more, so that what need not be there is missing somewhere. `films` are those
    of the first study, `other_films` those of the one that has other images.
    """

    base: StudyResult
    varied: Mapping[str, StudyResult]
    others: tuple[StudyResult, ...]
    films: tuple[Dataset, ...]
    other_films: tuple[Dataset, ...]

    def objects(self, kind: Kind) -> list[Dataset]:
        """Return every object of a kind."""
        results = (self.base, *self.varied.values(), *self.others)
        return [dataset for result in results for dataset in _datasets(result, kind)]

    def usual(self, kind: Kind) -> Dataset:
        """Return the object of a kind that the others are compared with."""
        return _datasets(self.base, kind)[-1]

    def with_other(self, kind: Kind) -> dict[str, Dataset]:
        """Return the object of a kind by the input that is another one."""
        return {name: _datasets(result, kind)[-1] for name, result in self.varied.items()}


@cache
def samples() -> Samples:
    """Build the results, once for all tables."""
    with TemporaryDirectory() as folder:
        return _build(Path(folder))


def _build(folder: Path) -> Samples:
    first, bare = _film(folder / "first.dcm"), _bare_film(folder / "bare.dcm")
    other = _other_film(folder / "other.dcm", 9)
    before_it = _other_film(folder / "before.dcm", 7)
    lateral = _sibling(folder / "lateral.dcm", first, ViewPosition="LL")
    broken = _sibling(folder / "broken.dcm", first, Rows=None, Columns=None, Modality="RG")
    usual = read(first)
    rows, columns = 384, 300
    larger = replace(OPACITY, rows=rows, columns=columns)
    marked = replace(
        OPACITY,
        probabilities=Probabilities(normal=0.2, not_normal=0.2, lung_opacity=0.6),
        pneumonia=0.7,
        threshold=0.5,
        boxes=(Box(30, 70, 60, 90, 0.8),),
    )
    device = replace(
        DEVICE, name="other", version="2", weights_digest="4c" * 32, manufacturer="M", uid="2.25.7"
    )
    result = _result(usual)
    before = Predecessor(
        str(dcmread(first).StudyInstanceUID),
        result.sr.series_instance_uid,
        result.sr.sop_class_uid,
        result.sr.sop_instance_uid,
    )
    return Samples(
        base=result,
        varied={
            "images": _result(read(other, larger), read(before_it, replace(larger, boxes=()))),
            "model": _result(usual, device=device),
            "reading": _result(read(first, marked)),
            "time of the reading": _result(
                usual, recorded_at=datetime(2025, 4, 12, 11, 17, 3, 500000, tzinfo=UTC)
            ),
            "revision": _result(usual, revision=2, predecessor=before),
            "settings": _result(usual, sc_max_side=128, jpeg_quality=50),
        },
        others=(
            _result(read(bare)),
            _result(read(bare, NORMAL)),
            _result(read(first, ABNORMAL)),
            _result(refused(broken)),
            _result(usual, refused(lateral)),
            _result(read(first, NORMAL), refused(lateral)),
            _result(read(_sibling(folder / "another.dcm", first, Modality="RG"))),
        ),
        films=(dcmread(first),),
        other_films=(dcmread(other), dcmread(before_it)),
    )


def _result(*images: ImageResult, **changes: Any) -> StudyResult:
    return build_study(job(*images, presentations=True, **changes))


def _film(path: Path) -> Path:
    return film(
        path,
        InstanceNumber=5,
        TimezoneOffsetFromUTC="+0100",
        WindowCenter=1500,
        WindowWidth=2000,
        WindowCenterWidthExplanation="BONE",
        VOILUTFunction="LINEAR_EXACT",
        RescaleIntercept=0,
        RescaleSlope=1,
        RescaleType="US",
        ShutterShape="CIRCULAR",
        CenterOfCircularShutter=[160, 128],
        RadiusOfCircularShutter=150,
        ProcedureCodeSequence=[_code("36643-5", "XR Chest 2 Views")],
    )


def _other_film(path: Path, number: int) -> Path:
    study = "1.2.826.0.1.3680043.10.1.8"
    return film(
        path,
        pixels=np.full((384, 300), 700, np.uint16),
        SpecificCharacterSet="ISO_IR 192",
        SOPClassUID="1.2.840.10008.5.1.4.1.1.1.1",
        SOPInstanceUID=f"{study}.2.{number}",
        StudyInstanceUID=study,
        SeriesInstanceUID=f"{study}.2",
        InstanceNumber=number,
        Modality="DX",
        LossyImageCompression="01",
        LossyImageCompressionRatio=5,
        LossyImageCompressionMethod="ISO_15444_1",
        PatientOrientation=["R", "H"],
        ImagerPixelSpacing=[0.3, 0.3],
        TimezoneOffsetFromUTC="-0500",
        WindowCenter=1400,
        WindowWidth=1900,
        WindowCenterWidthExplanation="SOFT",
        VOILUTFunction="SIGMOID",
        RescaleIntercept=1,
        RescaleSlope=2,
        RescaleType="OD",
        ShutterShape="CIRCULAR",
        CenterOfCircularShutter=[170, 138],
        RadiusOfCircularShutter=140,
        ProcedureCodeSequence=[_code("36554-4", "XR Chest 1 View")],
    )


def _bare_film(path: Path) -> Path:
    """Write a film that says no more than it must."""
    silent = ("PatientOrientation", "ImagerPixelSpacing", "SpecificCharacterSet")
    return film(path, monochrome1=True, **dict.fromkeys(silent))


def _sibling(path: Path, sibling: Path, **attributes: Any) -> Path:
    uid = f"{dcmread(sibling).SOPInstanceUID}.2"
    return film(path, SOPInstanceUID=uid, InstanceNumber=2, **attributes)


def _code(value: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "LN", meaning
    return code


def _datasets(result: StudyResult, kind: Kind) -> list[Dataset]:
    return [dcmread(BytesIO(each.data)) for each in result.of_kind(kind)]
