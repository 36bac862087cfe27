"""The tables of the conformance statement are what the code does."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

import codes
from docs.tables import attributes, content
from docs.tables.marked import MarkerError, fill, table
from docs.tables.statement import STATEMENT, written
from docs.tables.values import Counted, at

PLACE = "<!-- table: one -->\nold\n<!-- end of table -->\n"


def test_the_statement_says_what_the_code_does() -> None:
    committed = STATEMENT.read_text(encoding="utf-8")
    assert written(committed) == committed, "docs/conformance.md is out of date: run `make docs`"


def test_the_tree_shows_every_concept_that_a_report_can_hold() -> None:
    elsewhere = {
        codes.DICOM_STUDY,
        codes.SR_INSTANCE,
        codes.RADIOLOGY_OBSERVATION,
        codes.SOURCE_IMAGE_FOR_PROCESSING,  # in overlays
        codes.MILLIMETER,  # units stand as their value alone
        codes.PERCENT,
        codes.PIXELS,
    }
    tree = content.tree()
    unseen = {
        code
        for code in vars(codes).values()
        if isinstance(code, Code) and f"({code.value}, {code.scheme_designator}, " not in tree
    }
    assert unseen == elsewhere


@pytest.mark.parametrize(
    ("made", "attribute", "told"),
    [
        (attributes.report, "Study Instance UID", "1 | ALWAYS | as in the image"),
        (attributes.report, "Content Date", "1 | ALWAYS | from time of the reading"),
        (attributes.report, "SOP Instance UID", "1 | ALWAYS | from images, model, revision"),
        (attributes.report, "Predecessor Documents Sequence", "1C | ANAP | from revision"),
        (attributes.report, "Completion Flag", "1 | ALWAYS | `COMPLETE` or `PARTIAL`"),
        (attributes.overlay, "Rows", "1 | ALWAYS | from images, settings"),
        (attributes.overlay, "Patient Orientation", "2C | VNAP | as in the image"),
        (attributes.presentation_state, ">>Graphic Data", "1 | ALWAYS | from reading"),
        (attributes.presentation_state, "Content Creator's Name", "3 | EMPTY | "),
    ],
)
def test_where_a_value_comes_from_is_found_out(
    made: Callable[[], str], attribute: str, told: str
) -> None:
    rows = [line for line in made().splitlines() if f"| {attribute} |" in line]
    assert [row for row in rows if row.endswith(f"| {told} |")] != [], rows


def test_a_table_takes_the_place_of_the_old_one_and_nothing_else_changes() -> None:
    new = fill(f"before\n{PLACE}after\n", {"one": lambda: table(("a", "b"), [("1", "x|y")])})
    assert new == (
        "before\n<!-- table: one -->\n| a | b |\n|---|---|\n| 1 | x\\|y |\n"
        "<!-- end of table -->\nafter\n"
    )


@pytest.mark.parametrize(
    ("markdown", "message"),
    [
        ("", "'one' has 0 places"),
        (PLACE + PLACE, "'one' has 2 places"),
        (PLACE + PLACE.replace("one", "two"), "no table by the name 'two'"),
        (PLACE.replace("<!-- end of table -->\n", "") + PLACE, "not ended"),
    ],
)
def test_a_document_whose_places_do_not_fit_is_refused(markdown: str, message: str) -> None:
    with pytest.raises(MarkerError, match=message):
        fill(markdown, {"one": str})


def test_presence_is_told_as_the_standard_tells_it() -> None:
    counted = Counted()
    for name, comment in (("A", None), ("", "any"), ("B", None)):
        item = Dataset()
        item.CodeMeaning = "x"
        each = Dataset()
        each.PatientName, each.Modality, each.StudyID = name, "SR", ""
        each.ReferencedStudySequence = [item]
        if comment:
            each.PatientComments = comment
        counted.add(each)
    told = {path[-1]: counted.presence(path) for path in counted.values}
    assert told == {
        "PatientName": "VNAP",
        "Modality": "ALWAYS",
        "StudyID": "EMPTY",
        "PatientComments": "ANAP",
        "ReferencedStudySequence": "ALWAYS",
        "CodeMeaning": "ALWAYS",
    }
    assert at(each, ("ReferencedStudySequence", "CodeMeaning")) == ["x"]
