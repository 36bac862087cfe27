"""`hilum sr` as a person types it: what it prints, what it leaves out, how it fails."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from typer.testing import CliRunner, Result

from hilum import app
from inference.reading import Reading
from inference.report.build import build_study
from tests.inference.report.studies import (
    ABNORMAL,
    NORMAL,
    OPACITY,
    STUDY,
    film,
    job,
    read,
    refused,
)
from tests.judges import sr_page

KINDS = pytest.mark.parametrize("reading", [OPACITY, ABNORMAL, NORMAL, None])


def report(folder: Path, reading: Reading | None = OPACITY) -> Path:
    source = film(folder / "film.dcm")
    result = build_study(job(read(source, reading) if reading else refused(source)))
    path = folder / "report.dcm"
    path.write_bytes(result.sr.data)
    return path


def sr(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["sr", *map(str, arguments)], catch_exceptions=True)


@KINDS
def test_it_says_what_dcmtk_says_of_the_same_report(
    tmp_path: Path, reading: Reading | None
) -> None:
    """Every value of a report's text stands on the page that dsr2html makes of it, and no other."""
    path = report(tmp_path, reading)
    done = sr(path)
    assert done.exit_code == 0, done.output
    page = _words(sr_page(path))
    content = done.output.split("\n\n", 1)[1]
    assert "Qualitative Evaluations" in content
    for line in content.splitlines():
        name, _, value = line.strip().partition(": ")
        assert _words(name) in page
        if value and name not in ("Image Library", "Image Region"):
            assert _words(value) in page, line


def test_boxes_name_the_image_that_they_lie_on(tmp_path: Path) -> None:
    lines = sr(report(tmp_path)).output.splitlines()
    assert "  Image 1:     1.2.826.0.1.3680043.10.1.7.1.1" in lines
    assert "    Image Region: polyline from (20.5, 60) to (100.5, 180.25) on image 1" in lines


@KINDS
def test_json_holds_what_a_worklist_needs(tmp_path: Path, reading: Reading | None) -> None:
    told = json.loads(sr(report(tmp_path, reading), "--json").output)
    assert told["finding"] == (reading.finding.value if reading else "failed")
    assert told["probability"] == (reading.pneumonia if reading else None)
    assert told["sentence"].endswith("not verified by a physician")
    assert told["subject"]["accession_number"] == "A7001"
    assert told["verification"] == "UNVERIFIED"
    boxes = reading.boxes if reading else ()
    assert [group["certainty"] for group in told["groups"]] == [box.score for box in boxes]
    for group in told["groups"]:
        assert group["regions"][0]["image"]["sop_instance_uid"] == f"{STUDY}.1.1"


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_without_patients_nothing_names_the_patient_or_the_study(
    tmp_path: Path, options: list[str]
) -> None:
    path = report(tmp_path)
    document = dcmread(path)
    canary = "Canary^Carl"
    for number, value_type in ((121029, "PNAME"), (121030, "TEXT"), (121022, "TEXT")):
        item = Dataset()
        item.RelationshipType, item.ValueType = "HAS OBS CONTEXT", value_type
        item.ConceptNameCodeSequence = [Dataset()]
        item.ConceptNameCodeSequence[0].CodeValue = str(number)
        item.ConceptNameCodeSequence[0].CodingSchemeDesignator = "DCM"
        item.ConceptNameCodeSequence[0].CodeMeaning = "Subject"
        setattr(item, "PersonName" if value_type == "PNAME" else "TextValue", canary)
        document.ContentSequence.append(item)
    document.save_as(path)
    if not options:
        assert canary in sr(path).output
    output = sr(path, "--no-patients", *options).output
    assert "Lung opacity suspected" in output
    for secret in (canary, "Phantom", "P-7", "A7001", "19610902", f"{STUDY}\n", f'"{STUDY}"'):
        assert secret not in output


def test_control_characters_of_a_file_do_not_reach_the_terminal(tmp_path: Path) -> None:
    path = report(tmp_path)
    document = dcmread(path)
    document.StudyDescription = "Chest\x1b[2J\x07PA"
    document.save_as(path)
    output = sr(path).output
    assert "Chest [2J PA" in output
    assert "\x1b" not in output


def test_what_is_no_report_is_told_in_one_sentence(tmp_path: Path) -> None:
    from commands.errors import explain

    for path, why in (
        (film(tmp_path / "film.dcm"), "this is a DICOM file, but no structured report"),
        (tmp_path / "missing.dcm", "No such file or directory"),
    ):
        error = sr(path).exception
        assert isinstance(error, Exception)
        assert explain(error) == f"{path}: {why}"


def _words(text: str) -> str:
    return re.sub(r"[^\w.%,;]+", " ", text.replace(".0 %", " %")).strip()
