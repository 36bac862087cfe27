"""The result document says what the SR says, in a form that is described and stays as it is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from inference.report.build import ImageResult, Predecessor, build_study
from scp_service.destinations.document import read_document, schema
from tests.inference.report.studies import (
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

DOCS = Path(__file__).parents[3] / "docs"


def document(*images: ImageResult, **changes: Any) -> dict[str, Any]:
    """Build a study's document, hold it against its description, and return what it says."""
    result = build_study(job(*images, document=True, **changes))
    assert result.document is not None
    said = json.loads(result.document.data)
    described = json.loads((DOCS / "result-document.schema.json").read_text())
    Draft202012Validator(described, format_checker=FormatChecker()).validate(said)
    assert said["report"]["uid"] == result.sr.sop_instance_uid
    assert said["report"]["sentence"] == result.sentence
    kept = read_document(result.document.data).model_dump(mode="json", by_alias=True)
    kept["report"]["recorded_at"] = said["report"]["recorded_at"]  # Z or +00:00
    assert kept == said, "a field is not described"
    return said


def code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = Code(value, scheme, meaning)[:3]
    return item


def test_an_opacity_is_told_with_patient_study_and_boxes(tmp_path: Path) -> None:
    said = document(read(film(tmp_path / "a.dcm", ProcedureCodeSequence=[code("X1", "L", "Bett")])))
    assert said["schema"] == "hilum-result"
    report = said["report"]
    assert (report["finding"], report["probability"]) == ("opacity", 0.8731)
    assert (report["threshold"], report["completeness"]) == (0.42, "complete")
    assert report["sentence"].endswith("not verified by a physician")
    assert report["verified"] is False
    assert said["algorithm"]["evaluation_only"] is True
    assert said["patient"] == {
        "id": "P-7",
        "id_issuer": None,
        "name": "Phantom^Paula",
        "birth_date": "19610902",
        "sex": "F",
    }
    assert said["study"]["uid"] == STUDY
    assert said["study"]["accession_number"] == "A7001"
    assert said["study"]["procedure"] == {"code": "X1", "scheme": "L", "meaning": "Bett"}
    (image,) = said["images"]
    assert image["refusal"] is None
    assert image["reading"]["boxes"][0] == {
        "x": 20.5,
        "y": 60.0,
        "width": 80.0,
        "height": 120.25,
        "score": 0.91,
    }
    assert [each["kind"] for each in said["objects"]] == ["sr", "sc"]
    assert said["objects"][1]["of_image"] == image["sop_instance_uid"]


def test_a_failed_study_has_a_document_that_says_failed_and_why(tmp_path: Path) -> None:
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(b"no DICOM at all")
    said = document(refused(film(tmp_path / "a.dcm")), refused(broken, BROKEN))
    report = said["report"]
    assert (report["finding"], report["completeness"]) == ("failed", "failed")
    assert report["probability"] is None
    assert report["threshold"] is None
    assert {(each["sop_instance_uid"], each["refusal"]["code"]) for each in said["images"]} == {
        (f"{STUDY}.1.1", "view"),
        (None, "undecodable"),
    }


def test_a_study_of_which_an_image_was_not_read_is_partial(tmp_path: Path) -> None:
    lateral = film(tmp_path / "b.dcm", SOPInstanceUID=f"{STUDY}.1.2")
    said = document(refused(lateral), read(film(tmp_path / "a.dcm"), NORMAL))
    assert said["report"]["completeness"] == "partial"
    assert [each["refusal"] is None for each in said["images"]] == [True, False]
    assert said["images"][1]["refusal"]["reason"] == LATERAL.reason


def test_a_revision_names_the_report_that_it_replaces(tmp_path: Path) -> None:
    before = Predecessor(STUDY, "1.2.3", "1.2.840.10008.5.1.4.1.1.88.34", "1.2.4")
    said = document(read(film(tmp_path / "a.dcm")), revision=2, predecessor=before)
    assert (said["report"]["revision"], said["report"]["predecessor_uid"]) == (2, "1.2.4")


def test_what_probabilities_are_adjusted_to_is_told(tmp_path: Path) -> None:
    device = replace(DEVICE, prevalence=0.2, operating_point="balanced")
    said = document(read(film(tmp_path / "a.dcm")), device=device)
    assert said["algorithm"]["prevalence"] == 0.2
    assert said["algorithm"]["operating_point"] == "balanced"


@pytest.mark.parametrize(
    ("charset", "encoded", "name"),
    [
        ("ISO_IR 100", "Größe^Jörg".encode("latin-1"), "Größe^Jörg"),
        ("ISO_IR 192", "山田^太郎".encode(), "山田^太郎"),
        (
            ["", "ISO 2022 IR 87"],
            b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B",
            "Yamada^Tarou=山田^太郎",
        ),
    ],
)
def test_names_are_the_same_in_every_character_set(
    tmp_path: Path, charset: str | list[str], encoded: bytes, name: str
) -> None:
    path = film(tmp_path / "a.dcm", SpecificCharacterSet=charset, PatientName=encoded)
    assert document(read(path))["patient"]["name"] == name


def test_the_same_films_in_any_order_make_the_same_document(tmp_path: Path) -> None:
    images = [
        read(film(tmp_path / "a.dcm")),
        refused(film(tmp_path / "b.dcm", SOPInstanceUID=f"{STUDY}.1.2")),
        refused(film(tmp_path / "c.dcm", SOPInstanceUID=f"{STUDY}.1.3")),
    ]
    one, other = (
        build_study(job(*order, document=True)).document for order in (images, images[::-1])
    )
    assert one == other


def test_a_document_is_made_only_where_it_is_asked_for(tmp_path: Path) -> None:
    result = build_study(job(read(film(tmp_path / "a.dcm"), OPACITY)))
    assert result.document is None
    assert result.objects == (result.sr, *result.overlays)


def test_the_schema_in_the_docs_is_the_one_that_is_read_by() -> None:
    """`python -m scp_service.destinations.document > docs/result-document.schema.json`."""
    assert (DOCS / "result-document.schema.json").read_text() == schema()


def test_the_example_in_the_docs_is_a_document() -> None:
    page = (DOCS / "result-document.md").read_text()
    example = page.split("```json\n")[1].split("```")[0]
    assert read_document(example.encode()).report.finding == "opacity"
