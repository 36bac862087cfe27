"""What a study's readings become: every outcome, revisions, and the same bytes each time."""

from __future__ import annotations

import hashlib
import itertools
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset

from inference.reading import Finding, Refusal, RefusalCode
from inference.report.build import (
    ImageResult,
    Predecessor,
    ReportError,
    StudyResult,
    build_study,
)
from tests.inference.report.studies import (
    ABNORMAL,
    BROKEN,
    DEVICE,
    LATERAL,
    NORMAL,
    OPACITY,
    STUDY,
    film,
    job,
    read,
    refused,
)

ROOT = Path(__file__).parents[3]


def evaluations(result: StudyResult) -> dict[str, str]:
    """Return name -> value of the report's evaluations, probabilities under "name probability"."""
    values: dict[str, str] = {}
    for item in _section(result, "C0034375").ContentSequence:
        name = item.ConceptNameCodeSequence[0].CodeMeaning
        coded = item.get("ConceptCodeSequence")
        values[name] = coded[0].CodeValue if coded else item.TextValue
        for number in item.get("ContentSequence", ()):
            assert number.ConceptNameCodeSequence[0].CodeValue == "122157"
            assert number.ContentSequence[0].ConceptCodeSequence[0].CodeMeaning == name
            measured = number.MeasuredValueSequence[0]
            assert measured.MeasurementUnitsCodeSequence[0].CodeValue == "%"
            values[f"{name} probability"] = str(measured.NumericValue)
    return values


def groups(result: StudyResult) -> list[Dataset]:
    """Return the measurement groups of a report."""
    return list(_section(result, "126010").get("ContentSequence", ()))


def _section(result: StudyResult, code: str) -> Dataset:
    (found,) = (
        item
        for item in document(result).ContentSequence
        if item.ConceptNameCodeSequence[0].CodeValue == code
    )
    return found


def document(result: StudyResult) -> Dataset:
    """Return the parsed report."""
    return dcmread(BytesIO(result.sr.data))


def test_an_opacity_is_reported_with_its_boxes(tmp_path: Path) -> None:
    result = build_study(job(read(film(tmp_path / "film.dcm"))))
    assert (result.finding, result.probability) == (Finding.OPACITY, OPACITY.pneumonia)
    assert evaluations(result) == {
        "Comment": result.sentence,
        "CAD Processing and Findings Summary": "111242",
        "Pneumonia": "52101004",
        "Pneumonia probability": "87.31",
        "Abnormal opacity": "52101004",
        "Abnormal opacity probability": "84.0",
        "Normality": "263654008",
    }
    assert len(groups(result)) == 2
    assert document(result).CompletionFlag == "COMPLETE"
    assert document(result).VerificationFlag == "UNVERIFIED"
    assert document(result).PreliminaryFlag == "PRELIMINARY"


def test_the_report_tells_the_prevalence_that_it_is_adjusted_to(tmp_path: Path) -> None:
    made = job(read(film(tmp_path / "film.dcm")))
    result = build_study(replace(made, device=replace(DEVICE, prevalence=0.05)))
    assert "adjusted to a prevalence of 5 %" in result.sentence
    parameters = [
        item.TextValue
        for item in groups(result)[0].ContentSequence
        if item.ConceptNameCodeSequence[0].CodeMeaning == "Algorithm Parameters"
    ]
    assert parameters == ["threshold 42 %, adjusted to a prevalence of 5 %"]


@pytest.mark.parametrize(
    ("reading", "finding", "normality", "pneumonia", "opacity"),
    [
        (ABNORMAL, Finding.ABNORMAL, "263654008", "12.0", "10.0"),
        (NORMAL, Finding.NORMAL, "17621005", "3.1", "3.0"),
    ],
)
def test_a_study_without_opacity_says_so_and_normal_differs_from_abnormal(
    tmp_path: Path,
    reading: object,
    finding: Finding,
    normality: str,
    pneumonia: str,
    opacity: str,
) -> None:
    result = build_study(job(read(film(tmp_path / "film.dcm"), reading)))  # type: ignore[arg-type]
    assert result.finding is finding
    assert evaluations(result) == {
        "Comment": result.sentence,
        "CAD Processing and Findings Summary": "111241",
        "Pneumonia": "272519000",
        "Pneumonia probability": pneumonia,
        "Abnormal opacity": "272519000",
        "Abnormal opacity probability": opacity,
        "Normality": normality,
    }
    assert groups(result) == []
    assert len(result.overlays) == 1


def test_a_study_that_could_not_be_read_says_why_and_nothing_that_reads_as_normal(
    tmp_path: Path,
) -> None:
    result = build_study(job(refused(film(tmp_path / "film.dcm"))))
    assert (result.finding, result.probability, result.overlays) == (Finding.FAILED, None, ())
    assert "This is a lateral view; only frontal chest films are read" in result.sentence
    assert evaluations(result) == {
        "Comment": result.sentence,
        "CAD Processing and Findings Summary": "111245",
        "Pneumonia": "373068000",
        "Abnormal opacity": "373068000",
        "Normality": "371934000",
    }
    report = document(result)
    assert report.CompletionFlag == "PARTIAL"
    assert report.CompletionFlagDescription == "no image could be analysed"
    assert _evidence(report) == {f"{STUDY}.1.1"}


def test_a_partly_read_study_is_partial_and_says_what_is_missing(tmp_path: Path) -> None:
    frontal = film(tmp_path / "frontal.dcm")
    lateral = film(tmp_path / "lateral.dcm", SOPInstanceUID=f"{STUDY}.1.2", InstanceNumber=2)
    result = build_study(job(refused(lateral), read(frontal, NORMAL)))
    assert result.finding is Finding.NORMAL
    assert "1 of 2 images was not analysed (This is a lateral view" in result.sentence
    assert evaluations(result)["CAD Processing and Findings Summary"] == "111243"
    report = document(result)
    assert report.CompletionFlag == "PARTIAL"
    assert report.CompletionFlagDescription == "1 of 2 images was not analysed"
    assert _evidence(report) == {f"{STUDY}.1.1", f"{STUDY}.1.2"}
    assert [item.source_sop_instance_uid for item in result.overlays] == [f"{STUDY}.1.1"]


def test_a_study_takes_the_gravest_finding_and_the_highest_probability(tmp_path: Path) -> None:
    first = film(tmp_path / "a.dcm")
    second = film(tmp_path / "b.dcm", SOPInstanceUID=f"{STUDY}.1.2", InstanceNumber=2)
    likely = replace(NORMAL, pneumonia=0.3)
    result = build_study(job(read(first, ABNORMAL), read(second, likely)))
    assert (result.finding, result.probability) == (Finding.ABNORMAL, 0.3)
    result = build_study(job(read(first, NORMAL), read(second, OPACITY)))
    assert result.finding is Finding.OPACITY
    assert len(groups(result)) == 2
    sources = {
        item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for group in groups(result)
        for child in group.ContentSequence
        for item in child.get("ContentSequence", ())
    }
    assert sources == {f"{STUDY}.1.2"}
    assert len({item.sop_instance_uid for item in result.overlays}) == 2
    assert len({item.series_instance_uid for item in result.overlays}) == 1


@pytest.mark.parametrize(
    ("orientation", "sites"),
    [
        (["L", "F"], ["3341006", "44029006"]),  # usual: the patient's right on the left
        (["R", "F"], ["44029006", "3341006"]),
        (None, ["39607008", "39607008"]),  # a film that does not say is not guessed
        (["F", "L"], ["39607008", "39607008"]),
    ],
)
def test_the_lung_is_named_by_the_patients_side(
    tmp_path: Path, orientation: list[str] | None, sites: list[str]
) -> None:
    result = build_study(job(read(film(tmp_path / "film.dcm", PatientOrientation=orientation))))
    assert [_site(group) for group in groups(result)] == sites


def test_a_box_over_the_middle_is_in_the_lung_of_neither_side(tmp_path: Path) -> None:
    wide = replace(OPACITY, boxes=(replace(OPACITY.boxes[0], x=60.0, width=120.0),))
    result = build_study(job(read(film(tmp_path / "film.dcm"), wide)))
    assert [_site(group) for group in groups(result)] == ["39607008"]


def _site(group: Dataset) -> str:
    (site,) = (
        item.ConceptCodeSequence[0].CodeValue
        for item in group.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeValue == "363698007"
    )
    return str(site)


def test_boxes_are_closed_and_cut_at_the_edge_of_the_image(tmp_path: Path) -> None:
    over = replace(OPACITY, boxes=(replace(OPACITY.boxes[0], x=-4.0, y=250.0, height=90.0),))
    result = build_study(job(read(film(tmp_path / "film.dcm"), over)))
    (region,) = (item for item in groups(result)[0].ContentSequence if item.ValueType == "SCOORD")
    assert region.GraphicData == [0, 250, 76, 250, 76, 320, 0, 320, 0, 250]


def test_the_films_own_procedure_is_reported(tmp_path: Path) -> None:
    procedure = Dataset()
    procedure.CodeValue, procedure.CodingSchemeDesignator = "RAD-CXR", "99HOSP"
    procedure.CodeMeaning = "Röntgen-Thorax"
    broken = Dataset()
    broken.CodeValue = "17"
    path = film(tmp_path / "film.dcm", ProcedureCodeSequence=[broken, procedure])
    report = document(build_study(job(read(path))))
    (reported,) = (
        item.ConceptCodeSequence[0]
        for item in report.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeValue == "121058"
    )
    assert (reported.CodeValue, reported.CodeMeaning) == ("RAD-CXR", "Röntgen-Thorax")


def test_a_revision_names_its_predecessor_and_has_uids_of_its_own(tmp_path: Path) -> None:
    images = (read(film(tmp_path / "film.dcm")),)
    first = build_study(job(*images))
    predecessor = Predecessor(
        STUDY, first.sr.series_instance_uid, first.sr.sop_class_uid, first.sr.sop_instance_uid
    )
    second = build_study(job(*images, revision=2, predecessor=predecessor))
    assert not _uids(first) & _uids(second)
    assert document(second).InstanceNumber == 2
    (study,) = document(second).PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    (instance,) = series.ReferencedSOPSequence
    assert (study.StudyInstanceUID, series.SeriesInstanceUID) == (
        STUDY,
        first.sr.series_instance_uid,
    )
    assert instance.ReferencedSOPInstanceUID == first.sr.sop_instance_uid
    assert _tracking(first) == _tracking(second), "the same opacity keeps its tracking UID"


def test_another_model_or_another_film_makes_other_uids(tmp_path: Path) -> None:
    images = (read(film(tmp_path / "film.dcm")),)
    one = build_study(job(*images))
    other = build_study(job(*images, device=replace(DEVICE, version="2", uid="2.25.77")))
    assert not _uids(one) & _uids(other)
    late = film(tmp_path / "late.dcm", SOPInstanceUID=f"{STUDY}.1.2", InstanceNumber=2)
    more = build_study(job(*images, read(late)))
    assert not _uids(one) & _uids(more)


def test_the_order_in_which_films_come_does_not_matter(tmp_path: Path) -> None:
    images = (
        read(film(tmp_path / "a.dcm", SOPInstanceUID=f"{STUDY}.1.1", InstanceNumber=3)),
        read(film(tmp_path / "b.dcm", SOPInstanceUID=f"{STUDY}.1.2", InstanceNumber=1), NORMAL),
        refused(film(tmp_path / "c.dcm", SOPInstanceUID=f"{STUDY}.1.3"), LATERAL),
        refused(film(tmp_path / "d.dcm", SOPInstanceUID=f"{STUDY}.1.4"), BROKEN),
    )
    results = {build_study(job(*order)) for order in itertools.permutations(images)}
    assert len(results) == 1


def test_two_fresh_processes_make_the_same_bytes(tmp_path: Path) -> None:
    path = film(tmp_path / "film.dcm")
    program = (
        "import hashlib, sys; from pathlib import Path;"
        "from inference.report.build import build_study;"
        "from tests.inference.report.studies import job, read;"
        "result = build_study(job(read(Path(sys.argv[1]))));"
        "print([hashlib.sha256(o.data).hexdigest() for o in (result.sr, *result.overlays)])"
    )
    hashes = [
        subprocess.run(
            [sys.executable, "-c", program, str(path)],
            cwd=ROOT,
            env={"PATH": "", "PYTHONHASHSEED": seed, "TZ": zone},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed, zone in (("1", "UTC"), ("2", "Asia/Tokyo"))
    ]
    here = build_study(job(read(path)))
    digests = [hashlib.sha256(item.data).hexdigest() for item in (here.sr, *here.overlays)]
    assert hashes == [f"{digests}\n"] * 2


def test_every_date_is_the_recorded_time_in_the_films_own_offset(tmp_path: Path) -> None:
    recorded = datetime(2024, 12, 31, 23, 30, tzinfo=UTC)
    path = film(tmp_path / "film.dcm", TimezoneOffsetFromUTC="+0100")
    result = build_study(job(read(path), recorded_at=recorded))
    for item in (result.sr, *result.overlays):
        dataset = dcmread(BytesIO(item.data))
        assert dataset.ContentDate == dataset.InstanceCreationDate == "20250101"
        assert dataset.ContentTime == dataset.SeriesTime == "003000.000000"
        assert dataset.TimezoneOffsetFromUTC == "+0100"
    path = film(tmp_path / "silent.dcm")
    report = document(build_study(job(read(path), recorded_at=recorded)))
    assert (report.ContentDate, report.ContentTime) == ("20241231", "233000.000000")
    assert "TimezoneOffsetFromUTC" not in report


def test_each_kind_of_result_has_a_series_of_its_own_beside_the_films(tmp_path: Path) -> None:
    result = build_study(job(read(film(tmp_path / "film.dcm"))))
    objects = [dcmread(BytesIO(item.data)) for item in (result.sr, *result.overlays)]
    assert [item.SeriesNumber for item in objects] == [9001, 9002]
    assert len({item.SeriesInstanceUID for item in objects} | {f"{STUDY}.1"}) == 3
    assert {item.StudyInstanceUID for item in objects} == {STUDY}
    for item, kept in zip(objects, (result.sr, *result.overlays), strict=True):
        assert kept.sop_class_uid == item.SOPClassUID
        assert kept.sop_instance_uid == item.SOPInstanceUID
        assert kept.series_instance_uid == item.SeriesInstanceUID
        assert kept.transfer_syntax_uid == item.file_meta.TransferSyntaxUID


def test_films_of_two_patients_make_no_report(tmp_path: Path) -> None:
    one = film(tmp_path / "a.dcm")
    other = film(tmp_path / "b.dcm", SOPInstanceUID=f"{STUDY}.1.2", PatientID="P-8")
    with pytest.raises(ReportError, match="different Patient IDs") as caught:
        build_study(job(read(one), read(other)))
    assert "P-7" not in str(caught.value)
    assert "P-8" not in str(caught.value)


def test_films_of_two_studies_make_no_report(tmp_path: Path) -> None:
    one = film(tmp_path / "a.dcm")
    other = film(tmp_path / "b.dcm", SOPInstanceUID="1.2.9", StudyInstanceUID="1.2.3")
    with pytest.raises(ReportError, match="different studies"):
        build_study(job(read(one), read(other)))


def test_an_altered_duplicate_is_counted_and_the_original_speaks(tmp_path: Path) -> None:
    original = film(tmp_path / "a.dcm")
    altered = film(tmp_path / "b.dcm", PatientID="P-OTHER", PatientName="Somebody^Else")
    duplicate = Refusal(RefusalCode.ALTERED_DUPLICATE, "The image was sent before, unlike this.")
    result = build_study(job(refused(altered, duplicate), read(original)))
    assert document(result).PatientID == "P-7"
    assert document(result).CompletionFlag == "PARTIAL"
    assert _evidence(document(result)) == {f"{STUDY}.1.1"}


def test_an_altered_duplicate_never_speaks_for_a_study(tmp_path: Path) -> None:
    original = film(tmp_path / "a.dcm")
    altered = film(tmp_path / "b.dcm", PatientID="P-OTHER")
    duplicate = Refusal(RefusalCode.ALTERED_DUPLICATE, "The image was sent before, unlike this.")
    result = build_study(job(refused(altered, duplicate), refused(original)))
    assert document(result).PatientID == "P-7"
    with pytest.raises(ReportError, match="no film"):
        build_study(job(refused(altered, duplicate)))


def test_a_refused_file_that_is_no_dicom_is_counted_and_not_referred_to(tmp_path: Path) -> None:
    page = tmp_path / "page.dcm"
    page.write_text("<html>not a film</html>" * 20)
    not_dicom = Refusal(RefusalCode.NOT_DICOM, "The file is not DICOM.")
    result = build_study(job(read(film(tmp_path / "film.dcm")), refused(page, not_dicom)))
    assert _evidence(document(result)) == {f"{STUDY}.1.1"}
    assert "1 of 2 images was not analysed (The file is not DICOM)" in result.sentence
    with pytest.raises(ReportError, match="no film of the study has a header"):
        build_study(job(refused(page, not_dicom)))


def test_a_film_of_another_size_than_its_reading_makes_no_report(tmp_path: Path) -> None:
    small = film(tmp_path / "film.dcm", pixels=np.full((100, 80), 900, np.uint16))
    with pytest.raises(ReportError, match="size"):
        build_study(job(read(small)))


def test_an_image_result_is_a_reading_or_a_refusal() -> None:
    with pytest.raises(ValueError, match="either a reading or a refusal"):
        ImageResult(Path("film.dcm"), None, None)
    with pytest.raises(ValueError, match="either a reading or a refusal"):
        ImageResult(Path("film.dcm"), OPACITY, LATERAL)


def test_a_time_without_a_zone_and_an_empty_study_are_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        job(recorded_at=datetime(2024, 3, 11))
    with pytest.raises(ReportError):
        build_study(job())


def _uids(result: StudyResult) -> set[str]:
    return {
        uid
        for item in (result.sr, *result.overlays)
        for uid in (item.sop_instance_uid, item.series_instance_uid)
    }


def _tracking(result: StudyResult) -> list[str]:
    return [
        item.UID
        for group in groups(result)
        for item in group.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeValue == "112040"
    ]


def _evidence(report: Dataset) -> set[str]:
    return {
        str(instance.ReferencedSOPInstanceUID)
        for study in report.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }


def test_pydicom_writes_the_same_files(tmp_path: Path) -> None:
    path = film(
        tmp_path / "film.dcm", PatientName="Müller^Jürgen", SpecificCharacterSet="ISO_IR 100"
    )
    prior = Predecessor("1.2.3", "1.2.3.4", "1.2.840.10008.5.1.4.1.1.88.34", "1.2.3.5")
    result = build_study(job(read(path), refused(path), revision=2, predecessor=prior))
    assert len(result.overlays) == 1
    for each in (result.sr, *result.overlays):
        dataset = dcmread(BytesIO(each.data))
        assert len(list(dataset.iterall())) > 40  # every value is decoded, and encoded anew
        again = BytesIO()
        dcmwrite(again, dataset, enforce_file_format=True)
        assert again.getvalue() == each.data
