"""What a result carries over from its film: patient and study (PS3.3 C.7.1 and C.7.2).

Valid values are carried byte by byte; an invalid one is left out or, where the attribute must be
there, empty. It is not mended: a PACS that finds another value than the film's takes the result for
another study's. What identifies patient and study comes back as it came, valid or not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pydicom.datadict import dictionary_VM, dictionary_VR
from pydicom.dataset import Dataset

from inference.report import explicit, stored
from inference.report.values import TEXT_VRS, is_valid

Charset = tuple[str, ...]
Parts = dict[int, tuple[str, bytes]]
"""Tag -> (VR, encoded value) of some elements."""


def carried(source: Dataset, charset: Charset) -> Parts:
    """Return what a result of the film `source` carries.

    The Study Instance UID and the Specific Character Set are not among them.
    """
    elements: Parts = {}
    for attribute in ATTRIBUTES:
        value = stored.value(source, attribute.keyword)
        fits = not value or attribute.identity or _fits(attribute, value, charset)
        if attribute.required or (fits and attribute.tag in source):
            elements[attribute.tag] = (attribute.vr, value if fits else b"")
    for keyword, understand in _SEQUENCES.items():
        understood = [understand(item, charset) for item in stored.items(source, keyword)]
        # All or nothing: a PACS may compare a sequence item by item.
        if understood and all(understood):
            elements[stored.tag(keyword)] = explicit.sequence(map(explicit.item, understood))
    _drop_unexplained_deidentification(elements)
    return elements


def texts(source: Dataset) -> Iterator[bytes]:
    """Yield every value that is written in the character set of `source` and may be carried."""
    for attribute in ATTRIBUTES:
        if attribute.vr in TEXT_VRS:
            yield stored.value(source, attribute.keyword)
    for keyword in _SEQUENCES:
        for item in stored.items(source, keyword):
            for nested in _NESTED_TEXTS:
                yield stored.value(item, nested)


def first_code(source: Dataset, keyword: str, charset: Charset) -> bytes | None:
    """Return the first complete code of a code sequence as an encoded item (PS3.3 8.8)."""
    codes = (_code(item, charset) for item in stored.items(source, keyword))
    return next((explicit.item(parts) for parts in codes if parts), None)


def _code(item: Dataset, charset: Charset) -> Parts:
    """Return the elements of a code, none if something that it must have is missing."""
    meaning = _part(item, "CodeMeaning", charset)
    scheme = _part(item, "CodingSchemeDesignator", charset)
    version = _part(item, "CodingSchemeVersion", charset)
    for keyword in ("CodeValue", "LongCodeValue", "URNCodeValue"):
        value = _part(item, keyword, charset)
        if value and meaning and (scheme or keyword == "URNCodeValue"):
            return {**value, **scheme, **version, **meaning}
    return {}


def _issuer(item: Dataset, charset: Charset) -> Parts:
    """Return a Hierarchic Designator (PS3.3 10.14)."""
    local = _part(item, "LocalNamespaceEntityID", charset)
    universal = _part(item, "UniversalEntityID", charset)
    kind = _part(item, "UniversalEntityIDType", charset)
    return {**local, **universal, **kind} if bool(universal) == bool(kind) else {}


def _other_id(item: Dataset, charset: Charset) -> Parts:
    """Return another identifier of the patient (PS3.3 C.7.1.1)."""
    number = _part(item, "PatientID", charset)
    issuer = _part(item, "IssuerOfPatientID", charset)
    kind = _part(item, "TypeOfPatientID", charset)
    return {**number, **issuer, **kind} if number and kind else {}


def _part(item: Dataset, keyword: str, charset: Charset) -> Parts:
    tag = stored.tag(keyword)
    vr = dictionary_VR(tag)
    value = stored.value(item, keyword)
    return {tag: (vr, value)} if value and is_valid(vr, False, value, charset) else {}


@dataclass(frozen=True, slots=True)
class _Attribute:
    """An attribute that is carried; `required` ones (Type 2) are there even without a value."""

    keyword: str
    tag: int
    vr: str
    multiple: bool
    required: bool
    identity: bool


def _fits(attribute: _Attribute, value: bytes, charset: Charset) -> bool:
    allowed = _ENUMERATED.get(attribute.keyword)
    if allowed is not None:
        return value in allowed
    return is_valid(attribute.vr, attribute.multiple, value, charset)


def _drop_unexplained_deidentification(elements: Parts) -> None:
    """Who says that the identity was removed must say how (Type 1C), and the other way round."""
    removed = stored.tag("PatientIdentityRemoved")
    methods = [stored.tag(f"DeidentificationMethod{end}") for end in ("", "CodeSequence")]
    if elements.get(removed) != ("CS", b"YES") or not any(tag in elements for tag in methods):
        for tag in (removed, *methods):
            elements.pop(tag, None)


_Understand = Callable[[Dataset, Charset], Parts]
"""What is known of an item of a sequence, empty if the item is incomplete."""

_REQUIRED = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
    "StudyID",
)
_OPTIONAL = (
    "IssuerOfPatientID",
    "PatientBirthTime",
    "OtherPatientNames",
    "PatientComments",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "StudyDescription",
    "ConsultingPhysicianName",
    "PhysiciansOfRecord",
    "NameOfPhysiciansReadingStudy",
    "RequestingService",
    "AdmittingDiagnosesDescription",
    "PatientAge",
    "PatientSize",
    "PatientBodyMassIndex",
    "PatientWeight",
    "MedicalAlerts",
    "Allergies",
    "Occupation",
    "SmokingStatus",
    "AdditionalPatientHistory",
    "LastMenstrualDate",
    "ReasonForVisit",
    "AdmissionID",
    "ServiceEpisodeID",
    "ServiceEpisodeDescription",
    "PatientState",
)
_IDENTITY = frozenset({"PatientName", "PatientID", "IssuerOfPatientID", "AccessionNumber"})
_ENUMERATED = {
    "PatientSex": (b"M", b"F", b"O"),
    "PatientIdentityRemoved": (b"YES", b"NO"),
    "SmokingStatus": (b"YES", b"NO", b"UNKNOWN"),
}
_SEQUENCES: dict[str, _Understand] = {
    "IssuerOfAccessionNumberSequence": _issuer,
    "OtherPatientIDsSequence": _other_id,
    "ProcedureCodeSequence": _code,
    "ReasonForPerformedProcedureCodeSequence": _code,
    "RequestingServiceCodeSequence": _code,
    "AdmittingDiagnosesCodeSequence": _code,
    "ReasonForVisitCodeSequence": _code,
    "DeidentificationMethodCodeSequence": _code,
}
_NESTED_TEXTS = (
    "CodeMeaning",
    "CodeValue",
    "CodingSchemeDesignator",
    "CodingSchemeVersion",
    "LongCodeValue",
    "LocalNamespaceEntityID",
    "UniversalEntityID",
    "PatientID",
    "IssuerOfPatientID",
)

ATTRIBUTES = tuple(
    _Attribute(
        keyword=keyword,
        tag=stored.tag(keyword),
        vr=dictionary_VR(stored.tag(keyword)),
        multiple=dictionary_VM(stored.tag(keyword)) != "1",
        required=keyword in _REQUIRED,
        identity=keyword in _IDENTITY,
    )
    for keyword in (*_REQUIRED, *_OPTIONAL)
)
KEYWORDS = (*_REQUIRED, *_OPTIONAL, *_SEQUENCES)
"""What must be read of a film for `carried`."""
