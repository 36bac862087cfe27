"""The Comprehensive SR of a report, as delivery makes it for a peer that takes no other."""

from __future__ import annotations

from io import BytesIO

from pydicom import dcmwrite
from pydicom.uid import ComprehensiveSRStorage, ExplicitVRLittleEndian

from scp_service.destinations.adapt import Form, adapt


def as_comprehensive_sr(data: bytes) -> tuple[bytes, str]:
    """Return the twin of a report's file, and its SOP Instance UID."""
    twin = adapt(data, Form(ComprehensiveSRStorage, ExplicitVRLittleEndian))
    buffer = BytesIO()
    dcmwrite(buffer, twin, enforce_file_format=True)
    return buffer.getvalue(), str(twin.SOPInstanceUID)
