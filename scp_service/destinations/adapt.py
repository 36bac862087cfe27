"""Another form of a result, for a destination that does not take the one we keep.

Each form is a pure function of the kept file, so that a resend has the same bytes.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from io import BytesIO

from pydicom import Dataset, dcmread
from pydicom.uid import (
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
)

UNCOMPRESSED = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))


@dataclass(frozen=True, slots=True)
class Form:
    """A way to send an object: the presentation context it needs, and how it is named there."""

    sop_class_uid: str
    transfer_syntax_uid: str


def forms(sop_class_uid: str, transfer_syntax_uid: str) -> list[Form]:
    """List the forms that an object may be sent in, best first; the first is the kept file."""
    classes = [sop_class_uid]
    if sop_class_uid == Comprehensive3DSRStorage:
        classes.append(str(ComprehensiveSRStorage))
    syntaxes = [transfer_syntax_uid] + [
        each for each in UNCOMPRESSED if each != transfer_syntax_uid
    ]
    return [Form(sop_class, syntax) for sop_class in classes for syntax in syntaxes]


def adapt(data: bytes, form: Form) -> Dataset:
    """Bring a kept file into a form.

    A Comprehensive 3D SR becomes a Comprehensive SR with the same tree, which holds nothing that
    this class lacks, and a UID of its own; it names the twin of its predecessor, which such a peer
    was given. A JPEG image is decoded (its lossy compression attributes stay, PS3.3
    C.7.6.1.1.5). Which uncompressed transfer syntax it is sent in is up to the association.
    """
    dataset = dcmread(BytesIO(data))
    if form.sop_class_uid == ComprehensiveSRStorage:
        _become_comprehensive_sr(dataset)
    if dataset.file_meta.TransferSyntaxUID == JPEGBaseline8Bit:
        dataset.decompress(generate_instance_uid=False)
    return dataset


def twin_uid(sop_instance_uid: str) -> str:
    """Return the UID of the Comprehensive SR that stands for a Comprehensive 3D SR."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, f'88.33 {sop_instance_uid}').int}"


def _become_comprehensive_sr(document: Dataset) -> None:
    _become_twin(document, "SOPClassUID", "SOPInstanceUID")
    _become_twin(document.file_meta, "MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID")
    for study in document.get("PredecessorDocumentsSequence", ()):
        for series in study.ReferencedSeriesSequence:
            for item in series.ReferencedSOPSequence:
                _become_twin(item, "ReferencedSOPClassUID", "ReferencedSOPInstanceUID")


def _become_twin(dataset: Dataset, class_keyword: str, instance_keyword: str) -> None:
    if dataset[class_keyword].value == Comprehensive3DSRStorage:
        uid = twin_uid(str(dataset[instance_keyword].value))
        setattr(dataset, class_keyword, ComprehensiveSRStorage)
        setattr(dataset, instance_keyword, uid)
