"""A film without anything that names a patient, to be given away. Runs in a child process.

What is kept is listed; nothing else is. What is written into the picture itself stays there.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from inference import elements
from inference.parse import parsing

_KEPT = (
    "SOPClassUID",
    "Modality",
    "ConversionType",
    "PatientSex",
    "BodyPartExamined",
    "ViewPosition",
    "PixelSpacing",
    "ImagerPixelSpacing",
    "PixelAspectRatio",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "SmallestImagePixelValue",
    "LargestImagePixelValue",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "RescaleIntercept",
    "RescaleSlope",
    "RescaleType",
    "PresentationLUTShape",
    "LossyImageCompression",
    "RedPaletteColorLookupTableDescriptor",
    "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor",
    "RedPaletteColorLookupTableData",
    "GreenPaletteColorLookupTableData",
    "BluePaletteColorLookupTableData",
    "ShutterShape",
    "ShutterLeftVerticalEdge",
    "ShutterRightVerticalEdge",
    "ShutterUpperHorizontalEdge",
    "ShutterLowerHorizontalEdge",
    "CenterOfCircularShutter",
    "RadiusOfCircularShutter",
    "VerticesOfThePolygonalShutter",
    "PixelData",
)
_LUTS = ("ModalityLUTSequence", "VOILUTSequence")
_KEPT_OF_LUTS = ("LUTDescriptor", "LUTData", "ModalityLUTType")
_OLDEST = 90
"""Whoever is older is told as this old: few are, so that an age may name them."""


def bare(path: Path, name: str) -> bytes:
    """Return a DICOM file with a film's picture, and `name` as patient's name and id.

    UIDs are made from `name` (PS3.5 B.2), so that the same film has the same ones each time.

    Raises:
        RefusedError: the film cannot be parsed.
        OSError: it cannot be read.
    """
    with parsing(), path.open("rb") as file:
        film = dcmread(file, force=True)
        made = Dataset()
        for keyword in _KEPT:
            if keyword in film:
                made[keyword] = film[keyword]
        for keyword in _LUTS:
            items = [_lut(item) for item in elements.items(film, keyword)]
            if items:
                setattr(made, keyword, items)
        age = _age(elements.text(film, "PatientAge"))
        if age:
            made.PatientAge = age
        made.PatientID = made.PatientName = name
        made.SOPInstanceUID = _uid(f"{name} instance")
        made.SeriesInstanceUID = _uid(f"{name} series")
        made.StudyInstanceUID = _uid(f"{name} study")
        made.PatientIdentityRemoved = "YES"
        made.DeidentificationMethod = "Listed attributes kept, all others left out"
        made.file_meta = FileMetaDataset()
        syntax = film.file_meta.get("TransferSyntaxUID", ExplicitVRLittleEndian)
        made.file_meta.TransferSyntaxUID = syntax
        made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
        made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
        made.set_original_encoding(UID(syntax).is_implicit_VR, UID(syntax).is_little_endian)
        to = io.BytesIO()
        dcmwrite(to, made, enforce_file_format=True)
        return to.getvalue()


def _lut(item: Dataset) -> Dataset:
    made = Dataset()
    for keyword in _KEPT_OF_LUTS:
        if keyword in item:
            made[keyword] = item[keyword]
    return made


def _age(value: str) -> str:
    """Return an age (PS3.5 6.2, AS) with all above `_OLDEST` years told as that."""
    if len(value) != 4 or not value[:3].isdecimal() or value[3] not in "DWMY":
        return ""
    return f"{_OLDEST:03d}Y" if value[3] == "Y" and int(value[:3]) > _OLDEST else value


def _uid(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()[:16]
    return f"2.25.{int.from_bytes(digest, 'big')}"
