"""The last look before a result is kept stops every fault that it knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset

from inference.reading import Box
from inference.report.build import ReportError, ResultObject, build_study
from inference.report.check import check_content, check_overlay, check_report
from inference.report.content import report_content
from inference.report.job import StudyJob
from inference.report.study import Study, arrange
from inference.report.tree import Image, Item, Number, Polyline
from inference.report.uids import Namer
from tests.inference.report.studies import DEVICE, OPACITY, film, job, read


@pytest.fixture
def usual(tmp_path: Path) -> StudyJob:
    return job(read(film(tmp_path / "film.dcm")))


def _study_and_content(usual: StudyJob) -> tuple[Study, tuple[Item, ...]]:
    study = arrange(usual)
    header = study.headers[0]
    namer = Namer(header.study_instance_uid, (header.sop_instance_uid,), DEVICE.uid, None)
    return study, report_content(study, DEVICE, namer)


def _replaced(item: Item, change: Callable[[Item], Item]) -> Item:
    """Return `item` with `change` made to it and to all below it."""
    children = tuple(_replaced(child, change) for child in item.children)
    return change(replace(item, children=children))


def _open_box(item: Item) -> Item:
    value = item.value
    if isinstance(value, Polyline):
        return replace(item, value=Polyline(value.points[:-1]))
    return item


def _box_outside(item: Item) -> Item:
    value = item.value
    if isinstance(value, Polyline):
        return replace(item, value=Polyline(tuple((x + 300, y) for x, y in value.points)))
    return item


def _box_not_a_number(item: Item) -> Item:
    value = item.value
    if isinstance(value, Polyline):
        return replace(item, value=Polyline(tuple((float("nan"), y) for _, y in value.points)))
    return item


def _foreign_image(item: Item) -> Item:
    value = item.value
    return (
        replace(item, value=Image(value.sop_class_uid, "1.2")) if isinstance(value, Image) else item
    )


def _impossible_percentage(item: Item) -> Item:
    value = item.value
    if isinstance(value, Number) and value.unit.value == "%":
        return replace(item, value=Number(140.0, value.unit))
    return item


def _lost_group(item: Item) -> Item:
    if item.name.value == "126010":
        return replace(item, children=item.children[:1])
    return item


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_open_box, "not closed"),
        (_box_outside, "leaves its image"),
        (_box_not_a_number, "leaves its image"),
        (_foreign_image, "foreign image"),
        (_impossible_percentage, "between 0 and 100"),
        (_lost_group, "one group for each box"),
    ],
)
def test_a_wrong_tree_is_stopped(
    usual: StudyJob, change: Callable[[Item], Item], message: str
) -> None:
    study, content = _study_and_content(usual)
    check_content(content, study)
    wrong = tuple(_replaced(item, change) for item in content)
    with pytest.raises(ReportError, match=message):
        check_content(wrong, study)


def _edited(result: ResultObject, change: Callable[[Dataset], None]) -> ResultObject:
    dataset = dcmread(BytesIO(result.data))
    change(dataset)
    buffer = BytesIO()
    dcmwrite(buffer, dataset)
    return replace(result, data=buffer.getvalue())


def _other_patient(dataset: Dataset) -> None:
    dataset.PatientID = "P-8"


def _other_name(dataset: Dataset) -> None:
    dataset.PatientName = "Phantom^Paul"


def _other_study(dataset: Dataset) -> None:
    dataset.StudyInstanceUID = "1.2.3"


def _other_instance(dataset: Dataset) -> None:
    dataset.SOPInstanceUID = "1.2.3"


def _no_evidence(dataset: Dataset) -> None:
    series = dataset.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    series.ReferencedSOPSequence = []


def _verified(dataset: Dataset) -> None:
    dataset.VerificationFlag = "VERIFIED"


def _partial(dataset: Dataset) -> None:
    dataset.CompletionFlag = "PARTIAL"


def _partial_and_why(dataset: Dataset) -> None:
    _partial(dataset)
    dataset.CompletionFlagDescription = "one of two images was not analysed"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_other_patient, "another PatientID"),
        (_other_name, "another PatientName"),
        (_other_study, "another study"),
        (_other_instance, "its own UIDs"),
        (_no_evidence, "no value in ReferencedSOPSequence"),
        (_verified, "VerificationFlag"),
        (_partial, "CompletionFlagDescription"),
        (_partial_and_why, "completion"),
    ],
)
def test_a_wrong_report_is_stopped(
    usual: StudyJob, change: Callable[[Dataset], None], message: str
) -> None:
    report, study = build_study(usual).sr, arrange(usual)
    check_report(report, study, None)
    with pytest.raises(ReportError, match=message):
        check_report(_edited(report, change), study, None)


def _other_source(dataset: Dataset) -> None:
    dataset.SourceImageSequence[0].ReferencedSOPInstanceUID = "1.2.3"


def _no_jpeg(dataset: Dataset) -> None:
    dataset.PixelData = dataset.PixelData.replace(b"\xff\xd9", b"\xff\xd8")


def _taller(dataset: Dataset) -> None:
    dataset.Rows += 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_other_patient, "another PatientID"),
        (_other_source, "refers to an instance"),
        (_no_jpeg, "complete JPEG"),
        (_taller, "wrong size"),
    ],
)
def test_a_wrong_overlay_is_stopped(
    usual: StudyJob, change: Callable[[Dataset], None], message: str
) -> None:
    overlay, header = build_study(usual).overlays[0], arrange(usual).headers[0]
    check_overlay(overlay, header, 320, 256)
    with pytest.raises(ReportError, match=message):
        check_overlay(_edited(overlay, change), header, 320, 256)


@pytest.mark.parametrize(
    "box",
    [
        Box(400.0, 10.0, 50.0, 50.0, 0.9),  # wholly outside
        Box(10.0, 10.0, 0.0, 50.0, 0.9),  # no area
        Box(float("nan"), 10.0, 20.0, 50.0, 0.9),
        Box(10.0, 10.0, 20.0, 50.0, 1.4),  # no probability
    ],
)
def test_a_reading_that_makes_no_sense_makes_no_report(tmp_path: Path, box: Box) -> None:
    path = film(tmp_path / "film.dcm")
    with pytest.raises(ReportError):
        build_study(job(read(path, replace(OPACITY, boxes=(box,)))))
