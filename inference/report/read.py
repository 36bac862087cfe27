"""A measurement report (PS3.16 TID 1500) read back, whoever wrote it: what a worklist needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.sr.coding import Code

import codes
from inference import elements
from inference.reading import Finding
from inference.report import nodes
from inference.report.header import ReportError
from inference.report.nodes import Graphic, Node, Number, Reference, is_a

_TITLES = tuple(Code(str(value), "DCM", "") for value in range(126000, 126004))
"""Imaging, oncology, dynamic contrast MR and PET measurement report (PS3.16 CID 7021)."""
_UNDEFINED_LENGTH = 0xFFFFFFFF
_SINGLE_IMAGE_FINDING = Code("111059", "DCM", "Single Image Finding")
_SUBJECT = tuple(
    Code(str(value), "DCM", "") for value in (*range(121018, 121025), *range(121028, 121035))
)
"""Procedure and subject context (PS3.16 TID 1005, 1006): whom the report is about."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom and which study the report is about, as its header says; empty where it does not."""

    patient_id: str
    patient_name: str
    birth_date: str
    sex: str
    accession_number: str
    study_instance_uid: str
    study_date: str
    study_description: str


@dataclass(frozen=True, slots=True)
class Observer:
    """The device that observed (PS3.16 TID 1004); None where the report does not say."""

    uid: str | None
    name: str | None
    manufacturer: str | None
    model_name: str | None
    serial_number: str | None


@dataclass(frozen=True, slots=True)
class Region:
    """Where something lies: coordinates (None: the whole instance), and the image they lie on."""

    graphic: Graphic | None
    image: Reference | None


@dataclass(frozen=True, slots=True)
class Group:
    """One measurement group (TID 1410, 1411, 1501) or one finding of a CAD (TID 4104).

    `certainty` is 0 to 1, None where none is stated as a share. `measurements` are all numbers,
    `evaluations` all other coded values and texts, each with its name.
    """

    template: str
    tracking_identifier: str | None
    tracking_uid: str | None
    finding: Code | None
    sites: tuple[Code, ...]
    certainty: float | None
    measurements: tuple[tuple[Code, Number], ...]
    evaluations: tuple[tuple[Code, Code | str], ...]
    regions: tuple[Region, ...]


@dataclass(frozen=True, slots=True)
class ReadReport:
    """What a report says. What it does not say is None or empty, and means just that.

    `probability` is that of pneumonia, `opacity_probability` that of an abnormal opacity, 0 to 1.
    `root` is the whole content tree.
    """

    title: Code
    template: str
    sop_class_uid: str
    sop_instance_uid: str
    manufacturer: str
    recorded: str
    subject: Subject
    completion: str
    completion_description: str
    verification: str
    preliminary: str
    observer: Observer | None
    finding: Finding | None
    probability: float | None
    opacity_probability: float | None
    pneumonia: Code | None
    normality: Code | None
    processing: Code | None
    sentence: str | None
    groups: tuple[Group, ...]
    evidence: tuple[Reference, ...]
    predecessors: tuple[Reference, ...]
    root: Node


def read_report(path: Path) -> ReadReport:
    """Read the measurement report in the file at `path`.

    Raises:
        ReportError: it is no DICOM file, no structured report, damaged, or of another template.
        OSError: it cannot be opened.
    """
    with path.open("rb") as file, elements.quiet():
        try:
            document = dcmread(file, stop_before_pixels=True)
            cut = _is_cut(document)
            root = nodes.parse(document)
        except InvalidDicomError:
            raise ReportError("this is no DICOM file") from None
        except Exception as error:  # pydicom raises many kinds on bytes that are not DICOM
            raise ReportError("the file is damaged and cannot be parsed") from error
        title = _title(root)
        if cut or not root.children:
            raise ReportError(
                "the file is damaged: the report has no content, or its end is missing"
            )
        return _read(document, title, root)


def without_subject(node: Node) -> Node:
    """Return a tree without what names the patient, the study (TID 1005, 1006) or a person."""
    kept = tuple(
        without_subject(child)
        for child in node.children
        if not is_a(child.name, *_SUBJECT) and child.value_type != "PNAME"
    )
    return Node(node.relation, node.value_type, node.name, node.value, node.template, kept)


def share(number: Number) -> float | None:
    """Return a number in percent, or without a unit and between 0 and 1, as 0 to 1; else None."""
    if number.value is None or number.unit is None:
        return None
    if is_a(number.unit, codes.PERCENT):
        return round(number.value / 100, 6)
    without_unit = number.unit.value == "1" or number.unit.value.startswith("{")
    return number.value if without_unit and 0 <= number.value <= 1 else None


def _is_cut(document: Dataset) -> bool:
    """Tell whether an element is shorter than it says, which pydicom reads without a word.

    Elements must still be as they were read: a converted one has forgotten its length. One of
    undefined length that is not ended is not there at all.
    """
    raw = (document.get_item(tag) for tag in document.keys())  # noqa: SIM118 - values convert
    return any(
        isinstance(element, RawDataElement)
        and element.length != _UNDEFINED_LENGTH
        and len(element.value or b"") < element.length
        for element in raw
    )


def _read(document: Dataset, title: Code, root: Node) -> ReadReport:
    evaluations = root.child(codes.QUALITATIVE_EVALUATIONS) or root
    pneumonia = evaluations.child(codes.PNEUMONIA)
    opacity = evaluations.child(codes.ABNORMAL_OPACITY)
    date, time = elements.text(document, "ContentDate"), elements.text(document, "ContentTime")
    return ReadReport(
        title=title,
        template=root.template,
        sop_class_uid=elements.text(document, "SOPClassUID"),
        sop_instance_uid=elements.text(document, "SOPInstanceUID"),
        manufacturer=elements.text(document, "Manufacturer"),
        recorded=f"{date} {time}".strip(),
        subject=_subject(document),
        completion=elements.text(document, "CompletionFlag"),
        completion_description=elements.text(document, "CompletionFlagDescription"),
        verification=elements.text(document, "VerificationFlag"),
        preliminary=elements.text(document, "PreliminaryFlag"),
        observer=_observer(root),
        finding=_finding(evaluations),
        probability=_probability(pneumonia),
        opacity_probability=_probability(opacity),
        pneumonia=evaluations.code(codes.PNEUMONIA),
        normality=evaluations.code(codes.NORMALITY),
        processing=evaluations.code(codes.PROCESSING_SUMMARY),
        sentence=evaluations.text(codes.COMMENT),
        groups=tuple(_group(node) for node in root.walk() if _is_group(node)),
        evidence=_references(document, "CurrentRequestedProcedureEvidenceSequence"),
        predecessors=_references(document, "PredecessorDocumentsSequence"),
        root=root,
    )


def _title(root: Node) -> Code:
    """Return the report's title, if it is a measurement report or built like one."""
    if root.value_type != "CONTAINER":
        raise ReportError("this is a DICOM file, but no structured report")
    title = root.name or Code("", "", "untitled report")
    measures = any(root.named(codes.IMAGING_MEASUREMENTS, codes.QUALITATIVE_EVALUATIONS))
    if root.template in ("1500", "4100") or is_a(title, *_TITLES) or measures:
        return title
    kind = f"template {root.template}" if root.template else "of no stated template"
    raise ReportError(
        f'this is another kind of report ("{title.meaning}", {kind}); measurement reports'
        " (TID 1500) and chest CAD reports (TID 4100) can be read"
    )


def _subject(document: Dataset) -> Subject:
    return Subject(
        patient_id=elements.text(document, "PatientID"),
        patient_name=elements.text(document, "PatientName"),
        birth_date=elements.text(document, "PatientBirthDate"),
        sex=elements.text(document, "PatientSex"),
        accession_number=elements.text(document, "AccessionNumber"),
        study_instance_uid=elements.text(document, "StudyInstanceUID"),
        study_date=elements.text(document, "StudyDate"),
        study_description=elements.text(document, "StudyDescription"),
    )


def _observer(root: Node) -> Observer | None:
    observer = Observer(
        uid=root.text(codes.DEVICE_OBSERVER_UID),
        name=root.text(codes.DEVICE_OBSERVER_NAME),
        manufacturer=root.text(codes.DEVICE_OBSERVER_MANUFACTURER),
        model_name=root.text(codes.DEVICE_OBSERVER_MODEL_NAME),
        serial_number=root.text(codes.DEVICE_OBSERVER_SERIAL_NUMBER),
    )
    return observer if observer != Observer(None, None, None, None, None) else None


def _finding(evaluations: Node) -> Finding | None:
    """Return the finding that a report's codes state; None where they state none."""
    presences = [evaluations.code(name) for name in (codes.PNEUMONIA, codes.ABNORMAL_OPACITY)]
    normality = evaluations.code(codes.NORMALITY)
    processing = evaluations.code(codes.PROCESSING_SUMMARY)
    if any(is_a(presence, codes.PRESENT) for presence in presences):
        return Finding.OPACITY
    undetermined = any(is_a(presence, codes.UNDETERMINED) for presence in presences)
    failed = is_a(processing, codes.NONE_SUCCEEDED)
    if failed or undetermined or is_a(normality, codes.NORMALITY_UNDETERMINED):
        return Finding.FAILED
    if is_a(normality, codes.ABNORMAL):
        return Finding.ABNORMAL
    return Finding.NORMAL if is_a(normality, codes.NORMAL) else None


def _probability(presence: Node | None) -> float | None:
    stated = presence.child(codes.PROBABILITY) if presence else None
    return share(stated.value) if stated and isinstance(stated.value, Number) else None


def _is_group(node: Node) -> bool:
    return is_a(node.name, codes.MEASUREMENT_GROUP, _SINGLE_IMAGE_FINDING)


def _group(node: Node) -> Group:
    numbers = [
        (child.name, child.value)
        for child in node.children
        if child.name is not None and isinstance(child.value, Number)
    ]
    certainties = (
        share(number)
        for name, number in numbers
        if is_a(name, codes.CERTAINTY_OF_FINDING, codes.PROBABILITY)
    )
    sites = (child.value for child in node.named(codes.FINDING_SITE))
    own = node.value if isinstance(node.value, Code) else None  # the finding of a CAD
    return Group(
        template=node.template,
        tracking_identifier=node.text(codes.TRACKING_IDENTIFIER),
        tracking_uid=node.text(codes.TRACKING_UID),
        finding=node.code(codes.FINDING) or own,
        sites=tuple(site for site in sites if isinstance(site, Code)),
        certainty=next((share for share in certainties if share is not None), None),
        measurements=tuple(numbers),
        evaluations=tuple(
            (child.name, child.value)
            for child in node.children
            if child.name is not None
            and isinstance(child.value, Code | str)
            and not is_a(child.name, *_TOLD_APART)
        ),
        regions=tuple(_regions(node)),
    )


def _regions(group: Node) -> list[Region]:
    """Return the coordinates below a group, and the images and segmentations it names itself."""
    regions = []
    for node in group.walk():
        if isinstance(node.value, Graphic):
            image = next((c.value for c in node.children if isinstance(c.value, Reference)), None)
            regions.append(Region(node.value, image))
    for child in group.children:
        if isinstance(child.value, Reference):
            regions.append(Region(None, child.value))
    return regions


def _references(document: Dataset, keyword: str) -> tuple[Reference, ...]:
    """Return the instances of a Hierarchical SOP Instance Reference (PS3.3 C.17.2.1)."""
    return tuple(
        nodes.reference(instance)
        for study in elements.items(document, keyword)
        for series in elements.items(study, "ReferencedSeriesSequence")
        for instance in elements.items(series, "ReferencedSOPSequence")
    )


_TOLD_APART = (
    codes.TRACKING_IDENTIFIER,
    codes.TRACKING_UID,
    codes.FINDING,
    codes.FINDING_SITE,
)
