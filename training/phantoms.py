"""Films made by a program: roughly like chest X-rays, for tests and demonstrations.

They are far easier than real films, so no figure measured on them says anything of patients.
"""

from __future__ import annotations

import datetime
import hashlib
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)

from training import drawing
from training.anatomy import GRID
from training.drawing import Rectangle

Kind = Literal["normal", "opacity", "abnormal", "lateral", "not_chest"]
View = Literal["PA", "AP", "LL", ""]
Modality = Literal["DX", "CR", "SC"]


_TAKEN = datetime.datetime(2024, 1, 1, 12, 0, 0)
_NAMESPACE = uuid.UUID("0b0f9b53-58a4-4d4b-9f0e-5d3cb2f4a6d2")
_NUMBERS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten")
_SOP_CLASSES = {
    "DX": DigitalXRayImageStorageForPresentation,
    "CR": ComputedRadiographyImageStorage,
    "SC": SecondaryCaptureImageStorage,
}


@dataclass(frozen=True, slots=True)
class Phantom:
    """A film and what is on it.

    `image` is (size, size) uint8, air dark and bone bright (MONOCHROME2). `boxes` are the
    opacities as x, y, width, height in its pixels, `view` the DICOM View Position ("" where there
    is none) and `drawn` says in words what was drawn.
    """

    image: NDArray[np.uint8]
    boxes: tuple[Rectangle, ...]
    kind: Kind
    view: View
    drawn: str


def phantom(
    rng: np.random.Generator,
    *,
    kind: Kind,
    size: int = 1024,
    view: Literal["PA", "AP"] | None = None,
) -> Phantom:
    """Draw a film of the given kind; the same generator state gives the same film.

    Args:
        rng: The only source of chance.
        kind: "opacity" has one or two boxes; "abnormal" a large heart, an effusion, a nodule or
            a device, and no box; "lateral" and "not_chest" are films to be refused.
        size: Side of the film in pixels.
        view: View of a frontal film; None leaves it to chance.
    """
    boxes: tuple[Rectangle, ...] = ()
    shown: View
    if kind == "lateral":
        density, shown, drawn = drawing.lateral(rng), "LL", "lateral chest"
    elif kind == "not_chest":
        density, shown, drawn = drawing.hand(rng), "", "hand"
    else:
        shown = view or ("AP" if rng.random() < 0.4 else "PA")
        density, boxes, drawn = drawing.frontal(rng, kind, ap=shown == "AP")
    scale = size / GRID
    image = drawing.expose(rng, density, size)
    drawing.mark(image, rng, shown)
    enlarged = tuple((x * scale, y * scale, w * scale, h * scale) for x, y, w, h in boxes)
    return Phantom(image, enlarged, kind, shown, drawn)


def write_phantom_dicom(
    film: Phantom,
    path: Path,
    *,
    number: int = 1,
    modality: Modality = "DX",
    monochrome1: bool = False,
    bits: int = 12,
    age: int = 50,
    sex: Literal["M", "F", "O"] = "O",
    taken: datetime.datetime = _TAKEN,
) -> None:
    """Write a phantom as a DICOM file of a fictional patient, uncompressed.

    UIDs, patient and dates follow from the arguments alone, so the same call gives the same file.

    Args:
        film: The phantom.
        path: File to write.
        number: Number of the fictional patient, whose one study holds the film.
        modality: "DX" (for presentation), "CR", or "SC": Secondary Capture that carries Modality
            CR, as the Kaggle films do.
        monochrome1: Store inverted, as MONOCHROME1.
        bits: Bits Stored, 8 to 16.
        age: The patient's age in years.
        sex: The patient's sex.
        taken: When the fictional film was taken.

    Raises:
        ValueError: `bits` is out of range.
    """
    if not 8 <= bits <= 16:
        raise ValueError(f"bits must be 8 to 16, not {bits}")
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = _SOP_CLASSES[modality]
    identity = f"{number} {film.kind} {modality} {monochrome1} {bits} {taken.isoformat()}"
    ds.SOPInstanceUID = _uid("instance", identity, film.image)
    ds.StudyInstanceUID = _uid("study", f"{number} {taken.isoformat()}")
    ds.SeriesInstanceUID = _uid("series", f"{number} {modality} {taken.isoformat()}")
    _describe_patient(ds, number, age, sex, taken)
    ds.Modality = "DX" if modality == "DX" else "CR"
    ds.Manufacturer = "Phantom"
    ds.SeriesNumber, ds.InstanceNumber = 1, 1
    ds.BodyPartExamined = "HAND" if film.kind == "not_chest" else "CHEST"
    ds.ViewPosition = film.view
    ds.PatientOrientation = ["P", "F"] if film.view == "LL" else ["L", "F"]
    if film.kind == "not_chest" and modality != "DX":
        ds.Laterality = "R"
    if modality == "DX":
        _describe_dx(ds, film)
    elif modality == "CR":
        ds.ImagerPixelSpacing = [0.35, 0.35]
    else:
        ds.ConversionType = "WSD"
    _store_pixels(ds, film.image, bits, monochrome1, modality)
    ds.save_as(path, enforce_file_format=True)


def _describe_patient(
    ds: Dataset, number: int, age: int, sex: str, taken: datetime.datetime
) -> None:
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.PatientName = f"Phantom^{_spelled(number)}"
    ds.PatientID = f"PHANTOM-{number:04d}"
    ds.PatientBirthDate = f"{taken.year - age:04d}0101"
    ds.PatientSex = sex
    ds.PatientAge = f"{age:03d}Y"
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = f"{taken:%Y%m%d}"
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = f"{taken:%H%M%S}"
    ds.AccessionNumber = f"P{number:06d}"
    ds.StudyID = str(number)
    ds.ReferringPhysicianName = ""
    ds.StudyDescription = "Phantom film, not a patient"


def _describe_dx(ds: Dataset, film: Phantom) -> None:
    """Fill what Digital X-Ray Image - For Presentation needs (PS3.3 A.26, C.8.11)."""
    ds.PresentationIntentType = "FOR PRESENTATION"
    ds.ImageType = ["ORIGINAL", "PRIMARY", ""]
    ds.ImagerPixelSpacing = [0.35, 0.35]
    ds.DetectorType = "DIRECT"
    ds.DetectorID = "PHANTOM"
    ds.PositionerType = "NONE"
    ds.ImageLaterality = "R" if film.kind == "not_chest" else "U"
    region = codes.SCT.Hand if film.kind == "not_chest" else codes.SCT.Chest
    ds.AnatomicRegionSequence = [_item(region)]
    ds.AcquisitionContextSequence = []
    view = {
        "PA": codes.SCT.PosteroAnterior,
        "AP": codes.SCT.AnteroPosterior,
        "LL": codes.SCT.LeftLateral,
        "": codes.SCT.PosteroAnterior,
    }[film.view]
    ds.ViewCodeSequence = [_item(view)]
    ds.ViewCodeSequence[0].ViewModifierCodeSequence = []
    ds.PixelIntensityRelationship = "LOG"
    ds.BurnedInAnnotation = "YES"
    ds.LossyImageCompression = "00"
    ds.PresentationLUTShape = "IDENTITY"


def _store_pixels(
    ds: Dataset, image: NDArray[np.uint8], bits: int, monochrome1: bool, modality: Modality
) -> None:
    top = 2**bits - 1
    stored = np.round(image.astype(np.float64) / 255 * top)
    if monochrome1:
        stored = top - stored
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME1" if monochrome1 else "MONOCHROME2"
    ds.Rows, ds.Columns = image.shape
    ds.BitsAllocated = 8 if bits == 8 else 16
    ds.BitsStored, ds.HighBit, ds.PixelRepresentation = bits, bits - 1, 0
    if modality == "DX":
        ds.PixelIntensityRelationshipSign = 1 if monochrome1 else -1
        ds.PresentationLUTShape = "INVERSE" if monochrome1 else "IDENTITY"
    if modality != "SC":
        ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "US"
        ds.WindowCenter, ds.WindowWidth = str(2 ** (bits - 1)), str(2**bits)
    ds.PixelData = stored.astype("<u1" if bits == 8 else "<u2").tobytes()


def _item(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator = code.value, code.scheme_designator
    item.CodeMeaning = code.meaning
    return item


def _uid(kind: str, identity: str, image: NDArray[np.uint8] | None = None) -> str:
    digest = "" if image is None else hashlib.sha256(image.tobytes()).hexdigest()
    return f"2.25.{uuid.uuid5(_NAMESPACE, f'{kind} {identity} {digest}').int}"


def _spelled(number: int) -> str:
    return _NUMBERS[number] if 0 <= number < len(_NUMBERS) else f"Number{number}"
