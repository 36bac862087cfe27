"""The header of a stored film, repaired once, so that every result made of it is valid DICOM."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from inference.report.uids import make_uid


class ReportError(Exception):
    """No result can be made of this study; the message says why and holds no patient data."""


@dataclass(frozen=True, slots=True)
class FilmHeader:
    """What results need to know of a film.

    `shared` holds the patient's and the study's attributes, valid, with the character set they are
    written in. `spacing` is (row, column) in mm, `orientation` the patient directions of rows and
    columns; both are None where the film does not say.
    """

    study_instance_uid: str
    series_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    rows: int | None
    columns: int | None
    modality: str
    body_part: str
    orientation: tuple[str, str] | None
    spacing: tuple[float, float] | None
    procedure: Code | None
    compression_ratios: tuple[float, ...]
    compression_methods: tuple[str, ...]
    shared: Dataset


def read_header(path: Path) -> FilmHeader:
    """Read the header of the DICOM file at `path`, without its pixels.

    Raises:
        ReportError: the file cannot be parsed or does not say which instance it is.
    """
    with disable_value_validation(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            source = dcmread(path, force=True, stop_before_pixels=True)
        except Exception as error:
            raise ReportError(
                f"a film of the study cannot be parsed: {type(error).__name__}"
            ) from error
        return _repair(source)


def _repair(source: Dataset) -> FilmHeader:
    instance = str(source.get("SOPInstanceUID", ""))
    sop_class = str(source.get("SOPClassUID", ""))
    if not instance or not sop_class:
        raise ReportError("a film of the study has no SOP Instance UID or no SOP Class UID")
    study = str(source.get("StudyInstanceUID") or make_uid("study", instance))
    shared = Dataset()
    shared.StudyInstanceUID = study
    for keyword in _TYPE_2:
        setattr(shared, keyword, source.get(keyword) or "")
    for keyword in _TYPE_3:
        if source.get(keyword):
            setattr(shared, keyword, source.get(keyword))
    shared.SpecificCharacterSet = "ISO_IR 192"
    if shared.PatientSex not in ("M", "F", "O"):
        shared.PatientSex = ""
    age = str(source.get("PatientAge", ""))
    if re.fullmatch(r"\d{1,3}", age):
        shared.PatientAge = f"{int(age):03d}Y"
    for keyword in ("PatientBirthDate", "StudyDate"):
        setattr(shared, keyword, _date(str(shared.get(keyword, ""))))
    shared.StudyTime = _time(str(shared.StudyTime))
    return FilmHeader(
        study_instance_uid=study,
        series_instance_uid=str(source.get("SeriesInstanceUID") or make_uid("series", instance)),
        sop_class_uid=sop_class,
        sop_instance_uid=instance,
        rows=source.get("Rows"),
        columns=source.get("Columns"),
        modality=str(source.get("Modality", "")),
        body_part=str(source.get("BodyPartExamined") or "CHEST"),
        orientation=None,
        spacing=None,
        procedure=None,
        compression_ratios=(),
        compression_methods=(),
        shared=shared,
    )


_TYPE_2 = (
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
_TYPE_3 = ("IssuerOfPatientID", "StudyDescription")


def _date(value: str) -> str:
    digits = value.replace(".", "")
    return digits if re.fullmatch(r"\d{8}", digits) else ""


def _time(value: str) -> str:
    value = value.replace(":", "")
    return value if re.fullmatch(r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?", value) else ""
