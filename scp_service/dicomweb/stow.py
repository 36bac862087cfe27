"""Store Transaction (STOW-RS, PS3.18 10.5): what a request must look like, and what is answered."""

from __future__ import annotations

from collections.abc import Sequence

from pydicom import Dataset
from pydicom.sequence import Sequence as DicomSequence

from scp_service.dicomweb.files import FailureReason, Kept
from scp_service.dicomweb.multipart import DICOM, media_type

DICOM_JSON = "application/dicom+json"
MULTIPART = "multipart/related"

_JSON_RANGES = (DICOM_JSON, "application/json", "application/*", "*/*")

ALL_STORED = 200
SOME_STORED = 202
NONE_STORED = 409
NO_ROOM = 503


def accepts_json(accept: str) -> bool:
    """Tell whether a request's Accept takes DICOM JSON; without one, anything is taken."""
    ranges = [media_type(each) for each in accept.split(",") if each.strip()]
    return not ranges or any(
        kind in _JSON_RANGES and options.get("q", "1").strip("0.") != "" for kind, options in ranges
    )


def boundary_of(content_type: str) -> str | None:
    """Return the boundary of a multipart body of DICOM files; None for a single DICOM file.

    Raises:
        ValueError: the body is something else; says what is taken.
    """
    kind, options = media_type(content_type)
    if kind == DICOM:
        return None
    if kind == MULTIPART and options.get("type", DICOM).lower() == DICOM:
        return options.get("boundary", "")
    raise ValueError(f'only {DICOM} is taken, alone or as {MULTIPART}; type="{DICOM}"')


def response(kept: Sequence[Kept]) -> tuple[int, Dataset]:
    """Return the HTTP status and the Store Instances Response Module (PS3.18 I.2.1).

    Nothing is served here, so that Retrieve URLs (Type 2) are empty. What names no SOP instance
    is told of as another failure.
    """
    stored = [each for each in kept if each.failure is None]
    failed = [each for each in kept if each.failure is not None]
    told = Dataset()
    told.RetrieveURL = None
    if stored:
        told.ReferencedSOPSequence = DicomSequence([_reference(each) for each in stored])
    if named := [each for each in failed if each.is_named]:
        told.FailedSOPSequence = DicomSequence([_failure(each) for each in named])
    if others := [each for each in failed if not each.is_named]:
        told.OtherFailuresSequence = DicomSequence([_other_failure(each) for each in others])
    return _status(stored, failed), told


def _status(stored: Sequence[Kept], failed: Sequence[Kept]) -> int:
    if not failed:
        return ALL_STORED
    if stored:
        return SOME_STORED
    # Where all that is missing is room, the same request may succeed later.
    transient = all(each.failure is FailureReason.OUT_OF_RESOURCES for each in failed)
    return NO_ROOM if transient else NONE_STORED


def _reference(kept: Kept) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = kept.sop_class_uid
    item.ReferencedSOPInstanceUID = kept.sop_instance_uid
    item.RetrieveURL = None
    return item


def _failure(kept: Kept) -> Dataset:
    item = _other_failure(kept)
    item.ReferencedSOPClassUID = kept.sop_class_uid
    item.ReferencedSOPInstanceUID = kept.sop_instance_uid
    return item


def _other_failure(kept: Kept) -> Dataset:
    assert kept.failure is not None
    item = Dataset()
    item.FailureReason = int(kept.failure)
    return item
