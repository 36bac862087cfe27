"""Our trees are what highdicom and pydicom would have written."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pytest
from highdicom.sr import srread
from highdicom.sr.utils import find_content_items
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset

import codes
from inference.report.build import StudyResult, build_study
from tests.inference.report.highdicom_reference import reference_overlay, reference_report
from tests.inference.report.studies import (
    ABNORMAL,
    DEVICE,
    NORMAL,
    OPACITY,
    film,
    job,
    keep,
    read,
    refused,
)


@pytest.fixture
def positive(tmp_path: Path) -> tuple[Dataset, StudyResult]:
    path = film(tmp_path / "film.dcm")
    return dcmread(path), build_study(job(read(path)))


def test_the_report_is_the_one_that_highdicom_makes(
    positive: tuple[Dataset, StudyResult],
) -> None:
    source, result = positive
    ours = dcmread(BytesIO(result.sr.data))
    theirs = reference_report(
        source,
        OPACITY,
        DEVICE,
        comment=result.sentence,
        sites=[codes.RIGHT_LUNG, codes.LEFT_LUNG],
        tracking_uids=_tracking_uids(ours),
        series_instance_uid=result.sr.series_instance_uid,
        sop_instance_uid=result.sr.sop_instance_uid,
    )
    assert ours.ContentSequence == theirs.ContentSequence
    differing = _differing(ours, theirs)
    assert differing == {
        "InstanceCreationDate",  # highdicom takes the clock's
        "InstanceCreationTime",
        "ContentDate",
        "ContentTime",
        "SeriesDate",  # ours besides
        "SeriesTime",
        "SeriesDescription",
        "ManufacturerModelName",
        "DeviceSerialNumber",
        "SoftwareVersions",
        "ContributingEquipmentSequence",  # highdicom names itself and the modality
        "ContentSequence",  # equal above; highdicom writes the number of rows as 320.0
    }


def test_the_overlay_has_what_highdicom_gives_a_secondary_capture(
    positive: tuple[Dataset, StudyResult],
) -> None:
    source, result = positive
    overlay = result.overlays[0]
    ours = dcmread(BytesIO(overlay.data))
    pixels = np.zeros((ours.Rows, ours.Columns, 3), np.uint8)
    theirs = reference_overlay(
        source, pixels, overlay.series_instance_uid, overlay.sop_instance_uid
    )
    del ours.PixelData, theirs.PixelData
    missing = {element.keyword for element in theirs} - {element.keyword for element in ours}
    assert missing == {"ContributingEquipmentSequence"}
    changed = _differing(ours, theirs) & {element.keyword for element in theirs}
    assert changed - missing == {
        "InstanceCreationDate",
        "InstanceCreationTime",
        "ContentDate",
        "ContentTime",
        "DateOfSecondaryCapture",
        "TimeOfSecondaryCapture",
        "ConversionType",  # WSD: made on a workstation, not by a digital interface
    }


@pytest.mark.parametrize("reading", [OPACITY, ABNORMAL, NORMAL])
def test_pydicom_writes_the_same_bytes_as_we_do(tmp_path: Path, reading: Any) -> None:
    result = build_study(job(read(film(tmp_path / "film.dcm"), reading), presentations=True))
    for item in result.objects:
        dataset = dcmread(BytesIO(item.data))
        _look_at_everything(dataset)
        again = BytesIO()
        dcmwrite(again, dataset, enforce_file_format=True)
        assert again.getvalue() == item.data


def test_highdicom_reads_the_boxes_back(tmp_path: Path) -> None:
    result = build_study(job(read(film(tmp_path / "film.dcm"))))
    report = srread(keep(tmp_path / "kept", result)[0])
    groups = report.content.get_planar_roi_measurement_groups()
    assert len(groups) == 2
    for group, box in zip(groups, OPACITY.boxes, strict=True):
        corners = group.roi.value
        assert corners.min(axis=0).tolist() == [box.x, box.y]
        assert corners.max(axis=0).tolist() == [box.x + box.width, box.y + box.height]
        assert group.get_measurements()[0].value == pytest.approx(box.score * 100)


@pytest.mark.parametrize("reading", [OPACITY, ABNORMAL, NORMAL, None])
def test_highdicom_reads_every_report_back(tmp_path: Path, reading: Any) -> None:
    path = film(tmp_path / "film.dcm")
    result = build_study(job(read(path, reading) if reading else refused(path)))
    report = srread(keep(tmp_path / "kept", result)[0])
    assert isinstance(report, hd.sr.Comprehensive3DSR)
    (observer,) = report.content.get_observer_contexts()
    assert observer.observer_identifying_attributes.uid == DEVICE.uid
    comments = find_content_items(report.content[0], name=codes.COMMENT, recursive=True)
    assert [comment.value for comment in comments] == [result.sentence]


def _tracking_uids(report: Dataset) -> list[str]:
    return [
        item.UID
        for child in report.ContentSequence
        for group in child.get("ContentSequence", ())
        for item in group.get("ContentSequence", ())
        if item.ConceptNameCodeSequence[0].CodeValue == "112040"
    ]


def _differing(ours: Dataset, theirs: Dataset) -> set[str]:
    """Return the attributes that are not encoded alike."""
    tags = {element.tag for element in ours} | {element.tag for element in theirs}
    return {
        (ours.get(tag) or theirs[tag]).keyword
        for tag in tags
        if _encoded(ours, tag) != _encoded(theirs, tag)
    }


def _encoded(dataset: Dataset, tag: Any) -> bytes | None:
    if tag not in dataset:
        return None
    single = Dataset()
    single.add(dataset[tag])
    buffer = BytesIO()
    dcmwrite(buffer, single, implicit_vr=False, little_endian=True)
    return buffer.getvalue()


def _look_at_everything(dataset: Dataset) -> None:
    """Decode every value, so that pydicom encodes it itself when it writes."""
    dataset.set_original_encoding(None, None)
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                _look_at_everything(item)
