"""An object that is not what its IOD asks for is stopped, whichever rule it breaks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from io import BytesIO
from pathlib import Path

import pytest
from highdicom._standard_utils import get_iod_module_map, get_module_attribute_map
from pydicom import dcmread, dcmwrite
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset

from inference.report import build
from inference.report.build import ResultObject, StudyResult, build_study
from inference.report.conform import conforming
from inference.report.content_tree import check_tree
from inference.report.header import ReportError
from inference.report.iods import IODS, Rule
from tests.inference.report.studies import STUDY, film, job, read, refused

KINDS = ("sr", "sc", "gsps")
IOD_NAMES = {
    "sr": "comprehensive-3d-sr",
    "sc": "secondary-capture-image",
    "gsps": "grayscale-softcopy-presentation-state",
}
Change = Callable[[Dataset], None]


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    """The three kinds of object of a film that gives a reason for every attribute of the rules."""
    folder = tmp_path_factory.mktemp("usual")
    path = film(
        folder / "film.dcm",
        WindowCenter=1500,
        WindowWidth=2000,
        RescaleIntercept=0,
        RescaleSlope=1,
        ShutterShape="CIRCULAR",
        CenterOfCircularShutter=[160, 128],
        RadiusOfCircularShutter=100,
    )
    lateral = film(folder / "lateral.dcm", SOPInstanceUID=f"{STUDY}.1.2", InstanceNumber=2)
    return build_study(job(read(path), refused(lateral), presentations=True))


def _every(rules: tuple[Rule, ...], *, below: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path to every attribute that must be there unconditionally."""
    for each in rules:
        if each.type < 3 and each.when is None and each.keyword != "PixelData":
            yield (*below, each.keyword)
            if each.type == 1:
                yield from _every(each.items, below=(*below, each.keyword))


MANDATORY = [(kind, path) for kind in KINDS for path in _every(IODS[kind])]


@pytest.mark.parametrize(("kind", "path"), MANDATORY, ids=str)
def test_every_mandatory_attribute_is_missed(
    usual: StudyResult, kind: str, path: tuple[str, ...]
) -> None:
    *above, keyword = path

    def remove(dataset: Dataset) -> None:
        for name in above:
            dataset = dataset[name].value[0]
        del dataset[keyword]

    with pytest.raises(ReportError, match=rf"lacks {keyword}$"):
        conforming(kind, _edited(_of(usual, kind), remove))


EMPTY = [
    (kind, each.keyword)
    for kind in KINDS
    for each in IODS[kind]
    if each.type == 1 and each.keyword != "PixelData"  # of which nothing is read
]


@pytest.mark.parametrize(("kind", "keyword"), EMPTY)
def test_an_empty_value_is_no_value(usual: StudyResult, kind: str, keyword: str) -> None:
    def empty(dataset: Dataset) -> None:
        setattr(dataset, keyword, [] if dataset[keyword].VR == "SQ" else None)

    with pytest.raises(ReportError, match=rf"has no value in {keyword}$"):
        conforming(kind, _edited(_of(usual, kind), empty))


ENUMERATED = [(kind, each.keyword) for kind in KINDS for each in IODS[kind] if each.one_of]


@pytest.mark.parametrize(("kind", "keyword"), ENUMERATED)
def test_a_value_that_is_not_enumerated_is_seen_and_not_shown(
    usual: StudyResult, kind: str, keyword: str
) -> None:
    def change(dataset: Dataset) -> None:
        setattr(dataset, keyword, "1.2.3.4" if keyword == "SOPClassUID" else "1234")

    with pytest.raises(ReportError, match=rf"in {keyword} that is not allowed there$") as caught:
        conforming(kind, _edited(_of(usual, kind), change))
    assert "1234" not in str(caught.value)


def _long_description(dataset: Dataset) -> None:
    dataset.SeriesDescription = "x" * 65


def _no_date(dataset: Dataset) -> None:
    dataset.StudyDate = "20240231"


def _wrong_vr(dataset: Dataset) -> None:
    del dataset.SeriesDescription
    dataset.add_new("SeriesDescription", "UT", "report")


def _no_uid(dataset: Dataset) -> None:
    dataset.SOPInstanceUID = "2.25.007"


def _letters_without_their_set(dataset: Dataset) -> None:
    del dataset.SpecificCharacterSet
    dataset.StudyDescription = "Thorax für Ärzte"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_long_description, "SeriesDescription that is not valid"),
        (_no_date, "StudyDate that is not valid"),
        (_wrong_vr, "SeriesDescription with the wrong VR"),
        (_no_uid, "SOPInstanceUID that is not valid"),
        (_letters_without_their_set, "StudyDescription that is not valid"),
    ],
)
def test_a_value_that_its_vr_does_not_allow_is_seen(
    usual: StudyResult, kind: str, change: Change, message: str
) -> None:
    with pytest.raises(ReportError, match=message):
        conforming(kind, _edited(_of(usual, kind), change))


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_that_are_cut_or_shifted_are_seen(usual: StudyResult, kind: str) -> None:
    data = _of(usual, kind).data
    start = data.index(b"\x10\0\x20\0LO")
    for broken in (
        data[: start + 5],
        data[:start] + data[start + 2 :],
        data[: start + 6] + b"\xff\xff" + data[start + 8 :],
        b"\0" * 128 + b"NONE" + data[132:],
    ):
        with pytest.raises(ReportError, match="not well encoded"):
            conforming(kind, broken)


def _foreign_relationship(report: Dataset) -> None:
    report.ContentSequence[-1].RelationshipType = "SELECTED FROM"


def _text_with_children(report: Dataset) -> None:
    text = report.ContentSequence[-1].ContentSequence[0]
    text.ContentSequence = [deepcopy(report.ContentSequence[2])]


def _unknown_type(report: Dataset) -> None:
    report.ContentSequence[0].ValueType = "COLOR"


def _no_code(report: Dataset) -> None:
    del report.ContentSequence[0].ConceptCodeSequence


def _no_name(report: Dataset) -> None:
    del report.ContentSequence[1].ConceptNameCodeSequence


def _half_a_code(report: Dataset) -> None:
    del report.ContentSequence[0].ConceptCodeSequence[0].CodeMeaning


def _no_unit(report: Dataset) -> None:
    pneumonia = report.ContentSequence[-1].ContentSequence[2]
    measured = pneumonia.ContentSequence[0].MeasuredValueSequence[0]
    del measured.MeasurementUnitsCodeSequence


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_foreign_relationship, "CONTAINER below a CONTAINER by a relationship"),
        (_text_with_children, "UIDREF below a TEXT by a relationship"),
        (_unknown_type, "without a value type"),
        (_no_code, "CODE of the report lacks ConceptCodeSequence"),
        (_no_name, "of the report lacks ConceptNameCodeSequence"),
        (_half_a_code, "a code lacks CodeMeaning"),
        (_no_unit, "lacks MeasurementUnitsCodeSequence"),
    ],
)
def test_a_content_item_that_may_not_be_so_is_seen(
    usual: StudyResult, change: Change, message: str
) -> None:
    check_tree(conforming("sr", usual.sr.data))
    with pytest.raises(ReportError, match=message):
        check_tree(conforming("sr", _edited(usual.sr, change)))


@pytest.mark.parametrize("kind", KINDS)
def test_no_mandatory_attribute_of_the_standard_is_forgotten(kind: str) -> None:
    """Held against highdicom's copy of PS3.3: Types 1 and 2 of the modules that are mandatory."""
    ours = {each.keyword: each.type for each in IODS[kind]}
    for module in get_iod_module_map()[IOD_NAMES[kind]]:
        # The attributes of content items are flat there, as if all stood in one item.
        if module["usage"] != "M" or module["key"] == "sr-document-content":
            continue
        for attribute in get_module_attribute_map()[module["key"]]:
            if attribute["path"] or attribute["type"] not in ("1", "2"):
                continue
            keyword = attribute["keyword"]
            assert keyword in ours, f"{keyword} of {module['key']}"
            assert ours[keyword] <= int(attribute["type"]), keyword


@pytest.mark.parametrize("at_fault", KINDS)
def test_one_bad_object_is_stopped_and_the_others_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_fault: str
) -> None:
    path = film(tmp_path / "film.dcm")
    good = build_study(job(read(path), presentations=True))
    encode = build.encode

    def spoil(elements: dict[int, tuple[str, bytes]], syntax: str) -> bytes:
        kind = {b"SR": "sr", b"OT": "sc", b"PR": "gsps"}[elements[0x00080060][1]]
        broken = {tag: each for tag, each in elements.items() if tag != 0x00100030}
        return encode(broken if kind == at_fault else elements, syntax)

    monkeypatch.setattr(build, "encode", spoil)
    result = build_study(job(read(path), presentations=True))
    assert result.objects == tuple(each for each in good.objects if each.kind != at_fault)
    (reason,) = result.stopped
    assert reason.endswith("lacks PatientBirthDate")


def test_an_unforeseen_fault_of_a_picture_does_not_hold_up_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("of Phantom^Paula")

    monkeypatch.setattr(build, "draw", fail)
    result = build_study(job(read(film(tmp_path / "film.dcm"))))
    assert [each.kind for each in result.objects] == ["sr"]
    assert result.stopped == (
        "the overlay of image 1 is not sent: an unforeseen error of the kind ValueError",
    )


def test_a_revision_after_a_stopped_report_has_uids_of_its_own(tmp_path: Path) -> None:
    images = (read(film(tmp_path / "film.dcm")),)
    first, second = build_study(job(*images)), build_study(job(*images, revision=2))
    before = {each.sop_instance_uid for each in first.objects}
    assert before.isdisjoint(each.sop_instance_uid for each in second.objects)


def test_a_stopped_report_takes_the_document_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ReportError("a fault that was put in")

    monkeypatch.setattr(build, "check_report", fail)
    result = build_study(job(read(film(tmp_path / "film.dcm")), document=True))
    assert [each.kind for each in result.objects] == ["sc"]
    assert "a fault that was put in" in result.stopped[0]
    assert "the result document" in result.stopped[1]
    with pytest.raises(LookupError, match="stopped"):
        _ = result.sr


def test_two_films_are_referred_to_each_by_its_own_objects(tmp_path: Path) -> None:
    first = film(tmp_path / "first.dcm")
    second = film(tmp_path / "second.dcm", SOPInstanceUID=f"{STUDY}.1.2", InstanceNumber=2)
    result = build_study(job(read(first), read(second), presentations=True))
    assert result.stopped == ()
    assert [each.kind for each in result.objects] == ["sr", "sc", "sc", "gsps", "gsps"]


def _of(result: StudyResult, kind: str) -> ResultObject:
    return next(each for each in result.objects if each.kind == kind)


def _edited(result: ResultObject, change: Change) -> bytes:
    with disable_value_validation():
        dataset = dcmread(BytesIO(result.data))
        change(dataset)
        buffer = BytesIO()
        dcmwrite(buffer, dataset)
    return buffer.getvalue()
