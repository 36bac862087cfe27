"""One film described: its DICOM attributes and the statistics of its pixels, or what is wrong."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from pydicom.dataset import Dataset

from inference import elements
from inference.decode import decode, read_header
from inference.reading import RefusedError
from training.cache import MAX_PIXELS

TEXTS = (
    "SpecificCharacterSet",
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "Modality",
    "ConversionType",
    "ReferringPhysicianName",
    "SeriesDescription",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "PatientAge",
    "BodyPartExamined",
    "ViewPosition",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "StudyID",
    "PatientOrientation",
    "PhotometricInterpretation",
    "LossyImageCompression",
    "LossyImageCompressionMethod",
)
INTEGERS = (
    "SeriesNumber",
    "InstanceNumber",
    "SamplesPerPixel",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
)
SPACINGS = ("PixelSpacing", "PixelSpacing1")
"""Pixel Spacing's two values, in mm: between rows and between columns (PS3.3 10.7.1.3)."""

Value = str | int | float | None


@dataclass(frozen=True, slots=True)
class Description:
    """What one image file holds.

    `attributes` are the challenge's DICOM attributes by keyword (`TEXTS`, `INTEGERS`, `SPACINGS`,
    and `MultiPixelSpacing`, 1 where Pixel Spacing has more than one value); empty for JPEG files.
    The four figures are of the stored values as they are, before any LUT; None, like `digest` (of
    the stored values), where they cannot be read: `problem` then says why, without patient data.
    """

    attributes: dict[str, Value]
    rows: int | None = None
    columns: int | None = None
    minimum: int | None = None
    maximum: int | None = None
    mean: float | None = None
    std: float | None = None
    digest: str | None = None
    problem: str | None = None


def describe(path: Path) -> Description:
    """Read and decode one image file; what is wrong with it is said, not raised."""
    attributes: dict[str, Value] = {}
    try:
        if path.suffix.lower() != ".dcm":
            return _with_pixels({}, read_jpeg(path))
        try:
            header, stored = decode(path, max_pixels=MAX_PIXELS)
        except RefusedError:
            attributes = _attributes(read_header(path))
            raise
        return _with_pixels(_attributes(header), stored)
    except RefusedError as error:
        return Description(attributes, problem=error.refusal.reason)
    except (UnidentifiedImageError, Image.DecompressionBombError, SyntaxError):
        return Description(attributes, problem="This is no image that can be read.")
    except OSError as error:
        return Description(attributes, problem=f"It cannot be read: {error.strerror or error}.")


def read_jpeg(path: Path) -> NDArray[Any]:
    """Read a JPEG file as grey values, (rows, columns) uint8. Raises what Pillow raises."""
    with Image.open(path) as image:
        if image.width * image.height > MAX_PIXELS:
            raise UnidentifiedImageError
        return np.asarray(image.convert("L"))


def _with_pixels(attributes: dict[str, Value], stored: NDArray[Any]) -> Description:
    return Description(
        attributes,
        rows=stored.shape[0],
        columns=stored.shape[1],
        minimum=int(stored.min()),
        maximum=int(stored.max()),
        mean=float(stored.mean(dtype=np.float64)),
        std=float(stored.std(dtype=np.float64)),
        digest=hashlib.blake2b(stored.tobytes(), digest_size=16).hexdigest(),
    )


def _attributes(header: Dataset) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for keyword in TEXTS:
        values[keyword] = elements.text(header, keyword) if keyword in header else None
    for keyword in INTEGERS:
        values[keyword] = elements.integer(header, keyword)
    spacing = elements.numbers(header, "PixelSpacing")
    values["MultiPixelSpacing"] = 1 if len(spacing) > 1 else None
    for keyword, value in zip(SPACINGS, (*spacing, None, None), strict=False):
        values[keyword] = value
    return values
