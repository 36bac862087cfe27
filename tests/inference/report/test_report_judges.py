"""All outside judges pass on every kind of result, and they do catch faults."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from inference.prepare import load_display
from inference.reading import Box, Finding, Probabilities, Reading, Refusal, RefusalCode
from inference.report.build import Predecessor, build_study
from tests import judges
from tests.inference.report.studies import (
    ABNORMAL,
    NORMAL,
    OPACITY,
    STUDY,
    film,
    job,
    keep,
    read,
    refused,
)

CHESTS = (  # real chests beside the RSNA films; all but one are MONOCHROME1
    "fod__CR-MONO1-10-chest.dcm",
    "pydd__RG1_J2KI.dcm",
    "orth__Monochrome1-Jpeg.dcm",
    "txv__1.2.276.0.7230010.3.1.4.8323329.6904.1517875201.850819.dcm",
    "txv__Fake_MONOHR1.dcm",
)
NAMES = ("pyd__chrKoreanMulti.dcm", "pyd__chrJapMulti.dcm", "pyd__chrJapMultiExplicitIR6.dcm")
FILMS_PER_CLASS = 6


@pytest.mark.parametrize("monochrome1", [False, True])
@pytest.mark.parametrize("reading", [OPACITY, ABNORMAL, NORMAL, None])
def test_results_of_made_films_pass_every_judge(
    tmp_path: Path, reading: Reading | None, monochrome1: bool
) -> None:
    path = film(tmp_path / "film.dcm", monochrome1=monochrome1)
    result = build_study(job(read(path, reading) if reading else refused(path)))
    results = keep(tmp_path / "results", result)
    assert judges.judge(results, [path]) == []


def test_partial_and_revised_results_pass_every_judge(tmp_path: Path) -> None:
    frontal = film(tmp_path / "frontal.dcm")
    lateral = film(
        tmp_path / "lateral.dcm",
        SOPInstanceUID=f"{STUDY}.2.1",
        SeriesInstanceUID=f"{STUDY}.2",
        SeriesNumber=2,
    )
    first = build_study(job(read(frontal)))
    before = Predecessor(
        STUDY, first.sr.series_instance_uid, first.sr.sop_class_uid, first.sr.sop_instance_uid
    )
    second = build_study(
        job(read(frontal), refused(lateral), revision=2, predecessor=before, sc_max_side=128)
    )
    results = keep(tmp_path / "first", first) + keep(tmp_path / "second", second)
    assert judges.judge(results, [frontal, lateral]) == []


def test_a_refused_object_that_is_no_image_is_evidence_and_not_in_the_library(
    tmp_path: Path,
) -> None:
    frontal = film(tmp_path / "frontal.dcm")
    state = film(
        tmp_path / "state.dcm",
        SOPClassUID="1.2.840.10008.5.1.4.1.1.11.1",
        SOPInstanceUID=f"{STUDY}.3.1",
        SeriesInstanceUID=f"{STUDY}.3",
        Modality="PR",
        Rows=None,
        Columns=None,
        PixelData=None,
    )
    unsupported = Refusal(RefusalCode.UNSUPPORTED, "The object is not a radiograph.")
    result = build_study(job(read(frontal), refused(state, unsupported)))
    assert judges.judge(keep(tmp_path / "results", result), [frontal]) == []


def test_real_rsna_films_pass_every_judge(tmp_path: Path, real_data: Path) -> None:
    readings = _rsna_readings(real_data / "rsna_mini")
    assert len(readings) == 3 * FILMS_PER_CLASS
    for path, reading in readings.items():
        results = keep(tmp_path / path.stem, build_study(job(read(path, reading))))
        assert judges.judge(results, [path]) == []
        assert judges.sr_text(results[0]).count("(POLYLINE,") == len(reading.boxes)


@pytest.mark.parametrize("name", CHESTS)
def test_real_chests_of_both_polarities_pass_every_judge(
    tmp_path: Path, real_data: Path, name: str
) -> None:
    path = real_data / "dicom_cxr" / name
    _, pixels = load_display(path, 100_000_000)
    rows, columns = pixels.shape
    box = Box(columns * 0.6, rows * 0.3, columns * 0.2, rows * 0.3, 0.7)
    reading = replace(OPACITY, rows=rows, columns=columns, boxes=(box,))
    results = keep(tmp_path / "results", build_study(job(read(path, reading))))
    assert judges.judge(results, [path]) == []
    drawn = judges.pixels(results[1])
    assert drawn.shape == (rows, columns, 3)
    shown = drawn[: int(rows * 0.25)].mean(axis=2), pixels[: int(rows * 0.25)]
    difference = abs(shown[0] - shown[1]).mean()
    assert difference < 3, "the overlay shows the film in its own polarity"


@pytest.mark.parametrize("name", NAMES)
def test_names_in_any_script_come_back_byte_by_byte(
    tmp_path: Path, real_data: Path, name: str
) -> None:
    path = real_data / "dicom_cxr" / name
    broken = Refusal(RefusalCode.NO_PIXELS, "The file holds no pixels.")
    results = keep(tmp_path / "results", build_study(job(refused(path, broken))))
    assert judges.judge(results, [path]) == []
    for tag in ("0010,0010", "0010,0020", "0008,0050"):
        values = [re.findall(rf"\({tag}\).*?\[(.*?)\]", judges.dump(p)) for p in (path, *results)]
        assert values[0]
        assert values[0] == values[1]


def test_reports_read_right_to_a_person(tmp_path: Path) -> None:
    path = film(tmp_path / "film.dcm")
    pages = {
        name: judges.sr_page(keep(tmp_path / name, build_study(job(image)))[0])
        for name, image in {
            "opacity": read(path),
            "abnormal": read(path, ABNORMAL),
            "normal": read(path, NORMAL),
            "failed": refused(path),
        }.items()
    }
    for page in pages.values():
        assert "Unverified" in page or "UNVERIFIED" in page
        assert "not verified by a physician" in page
        assert "for evaluation, not for clinical use" in page
    assert "Lung opacity suspected: probability of pneumonia 87 %, 2 regions" in pages["opacity"]
    assert re.search(r"Pneumonia ?: Present .*Probability.* ?87.31", pages["opacity"])
    assert "but the image does not look normal" in pages["abnormal"]
    assert re.search(r"Normality ?: Abnormal", pages["abnormal"])
    assert re.search(r"Pneumonia ?: Absent", pages["normal"])
    assert re.search(r"Normality ?: Normal\b(?! Undetermined)", pages["normal"])
    assert "Not analysed (This is a lateral view" in pages["failed"]
    assert "so no statement about the lungs" in pages["failed"]
    assert re.search(r"Pneumonia ?: Undetermined", pages["failed"])
    assert re.search(r"Normality ?: Normality Undetermined", pages["failed"])
    assert "Absent" not in pages["failed"]


def _changed_patient(report: Dataset) -> None:
    report.PatientID = "P-8"


def _no_evidence(report: Dataset) -> None:
    del report.CurrentRequestedProcedureEvidenceSequence


def _bad_relationship(report: Dataset) -> None:
    report.ContentSequence[-1].RelationshipType = "SELECTED FROM"


def _invalid_sex(report: Dataset) -> None:
    report.PatientSex = "U"


def _no_name(report: Dataset) -> None:
    del report.PatientName


@pytest.mark.parametrize(
    ("fault", "judge"),
    [
        (_changed_patient, "dcentvfy"),
        (_no_evidence, "dciodvfy"),
        (_bad_relationship, "dsrdump"),
        (_invalid_sex, "dciodvfy"),
        (_no_name, "dciodvfy"),
    ],
)
def test_the_judges_catch_a_fault(
    tmp_path: Path, fault: Callable[[Dataset], None], judge: str
) -> None:
    path = film(tmp_path / "film.dcm")
    report = keep(tmp_path / "results", build_study(job(read(path))))[0]
    dataset = dcmread(report)
    fault(dataset)
    dataset.save_as(report)
    problems = judges.judge([report], [path])
    assert any(problem.startswith(judge) for problem in problems), problems


def _rsna_readings(folder: Path) -> dict[Path, Reading]:
    """Return some films of each class, read as radiologists labelled them."""
    boxes: dict[str, list[Box]] = defaultdict(list)
    with (folder / "stage_2_train_labels.csv").open() as file:
        for row in csv.DictReader(file):
            if row["Target"] == "1":
                corner = float(row["x"]), float(row["y"])
                boxes[row["patientId"]].append(
                    Box(*corner, float(row["width"]), float(row["height"]), 0.8)
                )
    with (folder / "stage_2_detailed_class_info.csv").open() as file:
        classes = {row["patientId"]: row["class"] for row in csv.DictReader(file)}
    chosen = [
        patient
        for name in sorted(set(classes.values()))
        for patient in sorted(p for p, c in classes.items() if c == name)[:FILMS_PER_CLASS]
    ]
    findings = {
        "Lung Opacity": Finding.OPACITY,
        "No Lung Opacity / Not Normal": Finding.ABNORMAL,
        "Normal": Finding.NORMAL,
    }
    return {
        folder / "stage_2_train_images" / f"{patient}.dcm": Reading(
            rows=1024,
            columns=1024,
            probabilities=Probabilities(0.2, 0.3, 0.5),
            pneumonia=0.8 if boxes[patient] else 0.1,
            boxes=tuple(boxes[patient]),
            finding=findings[classes[patient]],
            threshold=0.42,
            bundle="hilum-default 1",
        )
        for patient in chosen
    }
