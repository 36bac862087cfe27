"""Reports read back: ours give what they were made of, others' what they say, damaged ones none."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from highdicom.sr import (
    Comprehensive3DSR,
    FindingSite,
    GraphicTypeValues3D,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    QualitativeEvaluation,
    SourceImageForSegmentation,
    TrackingIdentifier,
    VolumeSurface,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.sr.codedict import codes as pydicom_codes
from pydicom.sr.coding import Code
from pydicom.uid import (
    ChestCADSRStorage,
    ComputedRadiographyImageStorage,
    ImplicitVRLittleEndian,
)

import codes
from inference.reading import Finding, Reading
from inference.report.build import ImageResult, Predecessor, build_study
from inference.report.header import ReportError
from inference.report.read import read_report
from tests.inference.report.highdicom_reference import reference_report
from tests.inference.report.studies import (
    ABNORMAL,
    DEVICE,
    NORMAL,
    OPACITY,
    STUDY,
    film,
    job,
    read,
    refused,
)

PREDECESSOR = Predecessor(STUDY, "2.25.81", "1.2.840.10008.5.1.4.1.1.88.34", "2.25.82")


def kept(folder: Path, data: bytes) -> Path:
    path = folder / "report.dcm"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("reading", [OPACITY, ABNORMAL, NORMAL, None])
def test_our_report_gives_back_what_it_was_made_of(tmp_path: Path, reading: Reading | None) -> None:
    path = film(tmp_path / "film.dcm")
    made = build_study(job(read(path, reading) if reading else refused(path)))
    found = read_report(kept(tmp_path, made.sr.data))

    assert found.title == codes.REPORT_TITLE
    assert found.sop_instance_uid == made.sr.sop_instance_uid
    assert found.finding == made.finding
    assert found.sentence == made.sentence
    assert found.probability == (reading.pneumonia if reading else None)
    assert found.opacity_probability == (reading.probabilities.lung_opacity if reading else None)
    assert found.completion == ("COMPLETE" if reading else "PARTIAL")
    assert (found.verification, found.preliminary) == ("UNVERIFIED", "PRELIMINARY")
    assert found.subject.patient_id == "P-7"
    assert found.subject.patient_name == "Phantom^Paula"
    assert found.subject.accession_number == "A7001"
    assert found.subject.study_instance_uid == STUDY
    assert found.observer is not None
    assert found.observer.uid == DEVICE.uid
    assert found.observer.serial_number == DEVICE.weights_digest
    assert [each.sop_instance_uid for each in found.evidence] == [f"{STUDY}.1.1"]

    boxes = reading.boxes if reading else ()
    assert len(found.groups) == len(boxes)
    for number, (group, box) in enumerate(zip(found.groups, boxes, strict=True), start=1):
        assert group.tracking_identifier == f"Opacity {number}"
        assert group.tracking_uid is not None
        assert group.finding == codes.ABNORMAL_OPACITY
        assert group.certainty == box.score
        assert group.sites in [(codes.RIGHT_LUNG,), (codes.LEFT_LUNG,)]
        [region] = group.regions
        assert region.graphic is not None
        assert region.graphic.points[0] == (box.x, box.y)
        assert region.graphic.points[2] == (box.x + box.width, box.y + box.height)
        assert region.image is not None
        assert region.image.sop_instance_uid == f"{STUDY}.1.1"


def test_a_partial_revision_says_both(tmp_path: Path) -> None:
    first = film(tmp_path / "first.dcm")
    second = film(tmp_path / "second.dcm", SOPInstanceUID=f"{STUDY}.1.2", InstanceNumber=2)
    images: tuple[ImageResult, ...] = (read(first), refused(second))
    made = build_study(job(*images, revision=2, predecessor=PREDECESSOR))
    found = read_report(kept(tmp_path, made.sr.data))
    assert found.completion == "PARTIAL"
    assert found.completion_description == "1 of 2 images was not analysed"
    assert found.finding is Finding.OPACITY
    assert found.processing == codes.SOME_SUCCEEDED_WITH_FINDINGS
    assert [each.sop_instance_uid for each in found.predecessors] == ["2.25.82"]
    assert len(found.evidence) == 2


def test_a_report_that_highdicom_wrote_reads_as_ours(tmp_path: Path) -> None:
    source = dcmread(film(tmp_path / "film.dcm"))
    theirs = reference_report(
        source,
        OPACITY,
        DEVICE,
        comment="Two opacities.",
        sites=[codes.RIGHT_LUNG, codes.LEFT_LUNG],
        tracking_uids=["2.25.1", "2.25.2"],
        series_instance_uid="2.25.3",
        sop_instance_uid="2.25.4",
    )
    theirs.save_as(tmp_path / "theirs.dcm")
    found = read_report(tmp_path / "theirs.dcm")
    assert found.finding is Finding.OPACITY
    assert found.probability == OPACITY.pneumonia
    assert found.sentence == "Two opacities."
    assert [group.tracking_uid for group in found.groups] == ["2.25.1", "2.25.2"]
    assert [group.certainty for group in found.groups] == [0.91, 0.64]
    assert [group.template for group in found.groups] == ["1410", "1410"]


def document(source: Dataset, groups: list[object]) -> Comprehensive3DSR:
    """Return a report of others' groups with nothing that is optional."""
    report = MeasurementReport(
        observation_context=ObservationContext(),
        procedure_reported=codes.PLAIN_CHEST_XRAY,
        imaging_measurements=groups,
        title=pydicom_codes.DCM.OncologyMeasurementReport,
    )
    return Comprehensive3DSR(
        evidence=[source],
        content=report,
        series_instance_uid="2.25.3",
        series_number=1,
        sop_instance_uid="2.25.4",
        instance_number=1,
        manufacturer="Other",
    )


def test_groups_in_space_and_without_coordinates_are_read(tmp_path: Path) -> None:
    source = dcmread(film(tmp_path / "film.dcm"))
    source.FrameOfReferenceUID = "2.25.6"
    corners = np.array([[0.0, 0, 1], [4, 0, 1], [4, 3, 1], [0, 3, 1], [0, 0, 1]])
    unheard_of = Code("X-1", "99OTHER", "Ground truth")
    in_space = VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier("2.25.5", "Nodule 1"),
        referenced_volume_surface=VolumeSurface(
            graphic_type=GraphicTypeValues3D.POINT,
            graphic_data=corners[1:2],
            frame_of_reference_uid="2.25.6",
            source_images=[SourceImageForSegmentation(source.SOPClassUID, source.SOPInstanceUID)],
        ),
        finding_type=unheard_of,
        measurements=[Measurement(pydicom_codes.SCT.Volume, 12.5, Code("mm3", "UCUM", "mm3"))],
    )
    bare = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier("2.25.7", "Lung"),
        qualitative_evaluations=[QualitativeEvaluation(codes.NORMALITY, codes.ABNORMAL)],
        finding_sites=[FindingSite(Code("T-28000", "SRT", "Lung"))],
    )
    document(source, [in_space, bare]).save_as(tmp_path / "theirs.dcm")

    found = read_report(tmp_path / "theirs.dcm")
    assert found.title.meaning == "Oncology Measurement Report"
    assert (found.finding, found.probability, found.sentence) == (None, None, None)
    space, without = found.groups
    assert (space.template, space.finding) == ("1411", unheard_of)
    assert space.certainty is None
    [(name, number)] = space.measurements
    assert (name.meaning, number.value, number.unit) == ("Volume", 12.5, Code("mm3", "UCUM", "mm3"))
    assert space.regions[0].graphic is not None
    assert space.regions[0].graphic.points == ((4.0, 0.0, 1.0),)
    assert space.regions[0].graphic.frame_of_reference_uid == "2.25.6"
    assert without.template == "1501"
    assert without.regions == ()
    assert without.sites == (codes.LUNG,)
    assert without.evaluations == ((codes.NORMALITY, codes.ABNORMAL),)


def test_a_chest_cad_report_is_read_as_findings(tmp_path: Path) -> None:
    graphic = _item("INFERRED FROM", "SCOORD", Code("111010", "DCM", "Center"))
    graphic.GraphicType, graphic.GraphicData = "POINT", [12.0, 30.5]
    image = _item("SELECTED FROM", "IMAGE", None)
    image.ReferencedSOPSequence = [Dataset()]
    image.ReferencedSOPSequence[0].ReferencedSOPClassUID = ComputedRadiographyImageStorage
    image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "2.25.9"
    graphic.ContentSequence = [image]
    certainty = _item("HAS PROPERTIES", "NUM", codes.CERTAINTY_OF_FINDING)
    certainty.MeasuredValueSequence = [Dataset()]
    certainty.MeasuredValueSequence[0].NumericValue = "71"
    certainty.MeasuredValueSequence[0].MeasurementUnitsCodeSequence = [_coded(codes.PERCENT)]
    finding = _item("CONTAINS", "CODE", Code("111059", "DCM", "Single Image Finding"))
    finding.ConceptCodeSequence = [_coded(Code("M-03010", "SRT", "Nodule"))]
    finding.ContentSequence = [certainty, graphic]
    summary = _item("CONTAINS", "CODE", codes.PROCESSING_SUMMARY)
    summary.ConceptCodeSequence = [_coded(codes.ALL_SUCCEEDED_WITH_FINDINGS)]
    summary.ContentSequence = [finding]
    root = _item("", "CONTAINER", Code("112000", "DCM", "Chest CAD Report"))
    root.ContentTemplateSequence = [Dataset()]
    root.ContentTemplateSequence[0].TemplateIdentifier = "4100"
    root.ContentSequence = [summary]
    root.SOPClassUID, root.SOPInstanceUID = ChestCADSRStorage, "2.25.10"

    found = read_report(_saved(tmp_path, root))
    assert found.title.meaning == "Chest CAD Report"
    assert found.processing == codes.ALL_SUCCEEDED_WITH_FINDINGS
    assert found.finding is None  # it says nothing of opacities, and nothing is made up
    [group] = found.groups
    assert group.finding is not None
    assert (group.finding.meaning, group.certainty) == ("Nodule", 0.71)
    [region] = group.regions
    assert region.graphic is not None
    assert region.graphic.points == ((12.0, 30.5),)
    assert region.image is not None
    assert region.image.sop_instance_uid == "2.25.9"


def test_other_files_are_named_for_what_they_are(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("not DICOM")
    with pytest.raises(ReportError, match="no DICOM file"):
        read_report(text)
    with pytest.raises(ReportError, match="no structured report"):
        read_report(film(tmp_path / "film.dcm"))
    other = _item("", "CONTAINER", Code("18748-4", "LN", "Diagnostic Imaging Report"))
    other.ContentSequence = [_item("CONTAINS", "TEXT", codes.COMMENT)]
    with pytest.raises(ReportError, match=r"another kind of report \(\"Diagnostic Imaging Report"):
        read_report(_saved(tmp_path, other))


@pytest.mark.parametrize("undefined_length", [False, True])
def test_a_report_that_was_cut_off_never_reads_as_a_shorter_one(
    tmp_path: Path, undefined_length: bool
) -> None:
    made = build_study(job(read(film(tmp_path / "film.dcm")))).sr.data
    path = kept(tmp_path, made)
    if undefined_length:
        report = dcmread(path)
        _undefine(report)
        report.save_as(path)
    whole = path.read_bytes()
    assert len(read_report(path).groups) == 2
    for end in range(0, len(whole), 97):
        path.write_bytes(whole[:end])
        with pytest.raises(ReportError):
            read_report(path)


def test_a_damaged_report_is_an_error_or_a_report(tmp_path: Path) -> None:
    made = build_study(job(read(film(tmp_path / "film.dcm")))).sr.data
    chance = random.Random(5)
    for _ in range(300):
        damaged = bytearray(made)
        for _ in range(chance.randint(1, 6)):
            damaged[chance.randrange(132, len(made))] = chance.randrange(256)
        try:
            read_report(kept(tmp_path, bytes(damaged)))
        except ReportError:
            continue


def _item(relation: str, value_type: str, name: Code | None) -> Dataset:
    item = Dataset()
    if relation:
        item.RelationshipType = relation
    item.ValueType = value_type
    if name is not None:
        item.ConceptNameCodeSequence = [_coded(name)]
    return item


def _coded(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code[:3]
    return item


def _saved(folder: Path, report: Dataset) -> Path:
    report.file_meta = FileMetaDataset()
    report.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    report.file_meta.MediaStorageSOPClassUID = ChestCADSRStorage
    report.file_meta.MediaStorageSOPInstanceUID = "2.25.10"
    dcmwrite(folder / "saved.dcm", report, enforce_file_format=True)
    return folder / "saved.dcm"


def _undefine(report: Dataset) -> None:
    """Have every sequence and item end with a delimiter instead of stating its length."""
    for element in report:
        if element.VR == "SQ":
            element.is_undefined_length = True
            for item in element.value:
                item.is_undefined_length_sequence_item = True
                _undefine(item)
