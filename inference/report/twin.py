"""The Comprehensive SR twin of a Comprehensive 3D SR, for peers that do not take the latter."""

from __future__ import annotations

import uuid
from io import BytesIO

from pydicom import dcmread, dcmwrite
from pydicom.config import disable_value_validation
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage

_NAMESPACE = uuid.UUID("c1c0b0d6-6f0f-5d3c-9a55-0e3f5e1d7b42")


def as_comprehensive_sr(data: bytes) -> tuple[bytes, str]:
    """Return the file `data` (SOP class ...88.34) as SOP class ...88.33, and its SOP Instance UID.

    The tree is the same: it holds nothing that Comprehensive SR lacks. The UID is derived from the
    original's. A predecessor is named by its twin, the one that such a peer was given.
    """
    with disable_value_validation():
        document = dcmread(BytesIO(data))
        document.SOPClassUID = ComprehensiveSRStorage
        document.SOPInstanceUID = twin_uid(document.SOPInstanceUID)
        for study in document.get("PredecessorDocumentsSequence", ()):
            for series in study.ReferencedSeriesSequence:
                for item in series.ReferencedSOPSequence:
                    if item.ReferencedSOPClassUID == Comprehensive3DSRStorage:
                        item.ReferencedSOPClassUID = ComprehensiveSRStorage
                        item.ReferencedSOPInstanceUID = twin_uid(item.ReferencedSOPInstanceUID)
        buffer = BytesIO()
        dcmwrite(buffer, document, enforce_file_format=True)
    return buffer.getvalue(), str(document.SOPInstanceUID)


def twin_uid(sop_instance_uid: str) -> str:
    """Return the SOP Instance UID of the twin of the report `sop_instance_uid`."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, sop_instance_uid).int}"
