"""The header of a stored film, repaired once, so that every result made of it is valid DICOM."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset

from inference.report import carried, stored
from inference.report.uids import make_uid
from inference.report.values import UID_PATTERN, character_set


class ReportError(Exception):
    """No result can be made of this study; the message says why and holds no patient data."""


@dataclass(frozen=True, slots=True)
class FilmHeader:
    """What results need to know of a film.

    `shared` holds the attributes of patient and study as tag -> (VR, encoded value), in `charset`.
    `spacing` is (row, column) in mm at the detector, `orientation` the patient directions of rows
    and columns, `procedure` an encoded code item, `utc_offset` as in "+0100"; each is None where
    the film does not say. `compressions` are the (ratio, method) of each lossy compression so far.
    """

    study_instance_uid: str
    series_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    instance_number: int
    patient_id: bytes
    rows: int | None
    columns: int | None
    modality: str
    orientation: tuple[str, str] | None
    spacing: tuple[float, float] | None
    procedure: bytes | None
    compressions: tuple[tuple[float, str], ...]
    utc_offset: str | None
    charset: tuple[str, ...]
    shared: dict[int, tuple[str, bytes]]


def read_header(path: Path) -> FilmHeader:
    """Read the header of the DICOM file at `path`; its pixels are not touched.

    Raises:
        ReportError: the file cannot be parsed or does not say which instance it is.
    """
    with disable_value_validation(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            source = dcmread(path, force=True, stop_before_pixels=True, specific_tags=_WANTED)
            return _repair(source, path.stat().st_size)
        except ReportError:
            raise
        except Exception as error:  # pydicom raises many kinds on bytes that are not DICOM
            kind = type(error).__name__
            raise ReportError(f"the header of a film cannot be parsed ({kind})") from error


def _repair(source: Dataset, file_size: int) -> FilmHeader:
    instance = _uid(source, "SOPInstanceUID")
    sop_class = _uid(source, "SOPClassUID")
    if instance is None or sop_class is None:
        raise ReportError("a film has no SOP Instance UID or no SOP Class UID")
    study = _uid(source, "StudyInstanceUID") or make_uid("missing study", instance)
    series = _uid(source, "SeriesInstanceUID") or make_uid("missing series", instance)
    declared = tuple(stored.strings(source, "SpecificCharacterSet"))
    charset = character_set(declared, list(carried.texts(source)))
    shared = carried.carried(source, charset)
    shared[stored.tag("StudyInstanceUID")] = ("UI", study.encode("ascii"))
    if charset:
        shared[stored.tag("SpecificCharacterSet")] = ("CS", "\\".join(charset).encode("ascii"))
    return FilmHeader(
        study_instance_uid=study,
        series_instance_uid=series,
        sop_class_uid=sop_class,
        sop_instance_uid=instance,
        instance_number=stored.integer(source, "InstanceNumber") or 0,
        patient_id=stored.value(source, "PatientID"),
        rows=stored.integer(source, "Rows"),
        columns=stored.integer(source, "Columns"),
        modality=stored.string(source, "Modality"),
        orientation=_orientation(source),
        spacing=_spacing(source),
        procedure=carried.first_code(source, "ProcedureCodeSequence", charset),
        compressions=_compressions(source, file_size),
        utc_offset=_utc_offset(source),
        charset=charset,
        shared=shared,
    )


def _orientation(source: Dataset) -> tuple[str, str] | None:
    values = stored.strings(source, "PatientOrientation")
    if len(values) != 2 or not all(value and set(value) <= set("ALRPHF") for value in values):
        return None
    return values[0], values[1]


def _spacing(source: Dataset) -> tuple[float, float] | None:
    values = stored.positives(source, "ImagerPixelSpacing")
    if len(values) != 2 or values[0] is None or values[1] is None:
        return None
    return values[0], values[1]


def _utc_offset(source: Dataset) -> str | None:
    value = stored.string(source, "TimezoneOffsetFromUTC")
    sign, hours, minutes = value[:1], value[1:3], value[3:]
    valid = (
        sign in ("+", "-")
        and len(value) == 5
        and value[1:].isdigit()
        and int(hours) <= 14
        and int(minutes) < 60
    )
    return value if valid else None


def _compressions(source: Dataset, file_size: int) -> tuple[tuple[float, str], ...]:
    """Return what the film says of its lossy compressions, else what its encoding tells."""
    methods = stored.strings(source, "LossyImageCompressionMethod")
    ratios = stored.positives(source, "LossyImageCompressionRatio")
    if methods and len(methods) == len(ratios):
        pairs = [(ratio, method) for ratio, method in zip(ratios, methods, strict=True) if ratio]
        if len(pairs) == len(methods):
            return tuple(pairs)
    method = _LOSSY_METHODS.get(str(source.file_meta.get("TransferSyntaxUID", "")))
    size = [stored.integer(source, name) for name in ("Rows", "Columns", "BitsAllocated")]
    if method is None or None in size or file_size == 0:
        return ()
    raw_bytes = math.prod(number or 0 for number in size) / 8
    return ((round(max(raw_bytes / file_size, 1.0), 2), method),)


def _uid(source: Dataset, keyword: str) -> str | None:
    value = stored.string(source, keyword)
    if value and not UID_PATTERN.fullmatch(value):
        raise ReportError(f"the {keyword} of a film is not a UID, so no report can name it")
    return value or None


# PS3.3 C.7.6.1.1.5: the names of the methods; PS3.5: their transfer syntaxes.
_LOSSY_METHODS = {
    "1.2.840.10008.1.2.4.50": "ISO_10918_1",
    "1.2.840.10008.1.2.4.51": "ISO_10918_1",
    "1.2.840.10008.1.2.4.81": "ISO_14495_1",
    "1.2.840.10008.1.2.4.91": "ISO_15444_1",
    "1.2.840.10008.1.2.4.203": "ISO_15444_15",
}

_WANTED = [
    stored.tag(keyword)
    for keyword in (
        *carried.KEYWORDS,
        "SpecificCharacterSet",
        "SOPClassUID",
        "SOPInstanceUID",
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "InstanceNumber",
        "Modality",
        "PatientOrientation",
        "ImagerPixelSpacing",
        "TimezoneOffsetFromUTC",
        "Rows",
        "Columns",
        "BitsAllocated",
        "LossyImageCompressionMethod",
        "LossyImageCompressionRatio",
    )
]
