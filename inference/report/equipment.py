"""What every result has in common: patient, study, equipment, times, and the file around it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from inference.reading import Device
from inference.report import explicit
from inference.report.header import FilmHeader
from inference.report.words import ascii_text
from settings.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME


def new_result(film: FilmHeader, device: Device, recorded_at: datetime) -> explicit.Added:
    """Return the patient and study of `film`, our equipment and the times.

    Every date and time is `recorded_at`: in the film's offset from UTC where it states one, because
    that offset holds for all times of an object (PS3.3 C.12.1.1), else in that of `recorded_at`.
    """
    offset = {}
    if film.utc_offset is not None:
        offset = explicit.attributes(TimezoneOffsetFromUTC=film.utc_offset)
        recorded_at = recorded_at.astimezone(_zone(film.utc_offset))
    date, time = f"{recorded_at:%Y%m%d}", f"{recorded_at:%H%M%S.%f}"
    return {
        **film.shared,
        **offset,
        **explicit.attributes(
            InstanceCreationDate=date,
            InstanceCreationTime=time,
            SeriesDate=date,
            SeriesTime=time,
            Manufacturer=ascii_text(device.manufacturer)[:64],
            ManufacturerModelName=ascii_text(device.name)[:64],
            DeviceSerialNumber=ascii_text(device.weights_digest)[:64],
            SoftwareVersions=ascii_text(device.version)[:64],
        ),
    }


def encode(result: explicit.Elements, transfer_syntax_uid: str) -> bytes:
    """Return `result` as a complete DICOM file (PS3.10)."""
    meta = explicit.attributes(
        MediaStorageSOPClassUID=explicit.text(result, "SOPClassUID"),
        MediaStorageSOPInstanceUID=explicit.text(result, "SOPInstanceUID"),
        TransferSyntaxUID=transfer_syntax_uid,
        ImplementationClassUID=IMPLEMENTATION_CLASS_UID,
        ImplementationVersionName=IMPLEMENTATION_VERSION_NAME,
    )
    return explicit.file(meta, result)


def _zone(offset: str) -> timezone:
    minutes = int(offset[1:3]) * 60 + int(offset[3:])
    if minutes == 0:
        return UTC
    return timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes))
