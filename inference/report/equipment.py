"""What every result has in common: patient, study, equipment, times, and the file around it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from io import BytesIO

from pydicom import dcmwrite
from pydicom.charset import convert_encodings, default_encoding
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID

from inference.reading import Device
from inference.report import explicit
from inference.report.header import FilmHeader
from inference.report.words import ascii_text

# Our own, made once from a UUID (PS3.5 B.2).
IMPLEMENTATION_CLASS_UID = "2.25.262179400968071590137271020995625866678"
IMPLEMENTATION_VERSION_NAME = "HILUM_1"


def new_result(film: FilmHeader, device: Device, recorded_at: datetime) -> Dataset:
    """Return a dataset with the patient and study of `film`, our equipment and the times.

    Every date and time is `recorded_at`: in the film's offset from UTC where it states one, because
    that offset holds for all times of an object (PS3.3 C.12.1.1), else in that of `recorded_at`.
    """
    result = Dataset()
    explicit.put(result, film.shared)
    # Tells pydicom that these values are encoded as they are to be written.
    encodings = convert_encodings(list(film.charset)) if film.charset else default_encoding
    result.set_original_encoding(False, True, encodings)
    if film.utc_offset is not None:
        result.TimezoneOffsetFromUTC = film.utc_offset
        recorded_at = recorded_at.astimezone(_zone(film.utc_offset))
    date, time = f"{recorded_at:%Y%m%d}", f"{recorded_at:%H%M%S.%f}"
    result.InstanceCreationDate = result.SeriesDate = result.ContentDate = date
    result.InstanceCreationTime = result.SeriesTime = result.ContentTime = time
    result.Manufacturer = ascii_text(device.manufacturer)[:64]
    result.ManufacturerModelName = ascii_text(device.name)[:64]
    result.DeviceSerialNumber = ascii_text(device.weights_digest)[:64]
    result.SoftwareVersions = ascii_text(device.version)[:64]
    return result


def encode(result: Dataset, transfer_syntax_uid: str) -> bytes:
    """Return `result` as a complete DICOM file (PS3.10)."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = result.SOPClassUID
    meta.MediaStorageSOPInstanceUID = result.SOPInstanceUID
    meta.TransferSyntaxUID = UID(transfer_syntax_uid)
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    result.file_meta = meta
    buffer = BytesIO()
    dcmwrite(buffer, result, enforce_file_format=True)
    return buffer.getvalue()


def _zone(offset: str) -> timezone:
    minutes = int(offset[1:3]) * 60 + int(offset[3:])
    if minutes == 0:
        return UTC
    return timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes))
