"""Another form of a result, for a destination that does not take the one we keep.

Each form is a pure function of the kept file, so that a resend has the same bytes.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from io import BytesIO

from pydicom import Dataset, dcmread
from pydicom.uid import (
    UID,
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

    A Comprehensive 3D SR becomes a Comprehensive SR with the same tree and a UID of its own; a JPEG
    image is decoded (its lossy compression attributes stay, PS3.3 C.7.6.1.1.5). Which uncompressed
    transfer syntax it is sent in is up to the association.
    """
    dataset = dcmread(BytesIO(data))
    wanted, held = form.sop_class_uid, dataset.SOPClassUID
    if wanted == ComprehensiveSRStorage and held == Comprehensive3DSRStorage:
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = ComprehensiveSRStorage
        uid = UID(twin_uid(str(dataset.SOPInstanceUID)))
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
    if dataset.file_meta.TransferSyntaxUID == JPEGBaseline8Bit:
        dataset.decompress(generate_instance_uid=False)
    return dataset


def twin_uid(sop_instance_uid: str) -> str:
    """Return the UID of the Comprehensive SR that stands for a Comprehensive 3D SR."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, f'88.33 {sop_instance_uid}').int}"
