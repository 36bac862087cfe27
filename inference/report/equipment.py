"""The attributes that every result shares besides patient and study: equipment, times, encoding."""

from __future__ import annotations

from datetime import datetime
from io import BytesIO

from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset

from inference.reading import Device

# Our own, derived once from a UUID (PS3.5 B.2).
IMPLEMENTATION_CLASS_UID = "2.25.262179400968071590137271020995625866678"
IMPLEMENTATION_VERSION_NAME = "HILUM_1"


def stamp(result: Dataset, device: Device, recorded_at: datetime) -> None:
    """Write equipment and times into `result`: every time is the recorded time of the reading."""
    result.Manufacturer = device.manufacturer
    result.ManufacturerModelName = device.name
    result.DeviceSerialNumber = device.weights_digest[:64]
    result.SoftwareVersions = device.version
    result.InstanceCreationDate = result.ContentDate = result.SeriesDate = recorded_at.strftime(
        "%Y%m%d"
    )
    result.InstanceCreationTime = result.ContentTime = result.SeriesTime = recorded_at.strftime(
        "%H%M%S.%f"
    )


def encode(result: Dataset, transfer_syntax_uid: str) -> bytes:
    """Return `result` as a complete DICOM file (PS3.10)."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = result.SOPClassUID
    meta.MediaStorageSOPInstanceUID = result.SOPInstanceUID
    meta.TransferSyntaxUID = transfer_syntax_uid
    meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    result.file_meta = meta
    buffer = BytesIO()
    dcmwrite(buffer, result, enforce_file_format=True)
    return buffer.getvalue()
