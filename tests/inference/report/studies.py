"""Films and jobs that the tests of reports make themselves."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmwrite
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian

from inference.reading import (
    Box,
    Device,
    Finding,
    Probabilities,
    Reading,
    Refusal,
    RefusalCode,
)
from inference.report.build import ImageResult, ResultObject, StudyJob, StudyResult
from inference.report.look import Look, Overlays

ROWS, COLUMNS = 320, 256
STUDY = "1.2.826.0.1.3680043.10.1.7"
DEVICE = Device(
    name="hilum-default",
    version="1",
    weights_digest="3b" * 32,
    manufacturer="Hilum",
    uid="2.25.329800735698586629295641978511506172918",
    evaluation_only=True,
)
LATERAL = Refusal(RefusalCode.VIEW, "This is a lateral view; only frontal chest films are read.")
BROKEN = Refusal(RefusalCode.UNDECODABLE, "The pixels cannot be decoded.")

OPACITY = Reading(
    rows=ROWS,
    columns=COLUMNS,
    probabilities=Probabilities(normal=0.05, not_normal=0.11, lung_opacity=0.84),
    pneumonia=0.8731,
    boxes=(
        Box(20.5, 60.0, 80.0, 120.25, 0.91),
        Box(150.0, 90.0, 70.0, 140.0, 0.64),
    ),
    finding=Finding.OPACITY,
    threshold=0.42,
    bundle="hilum-default 1",
)
ABNORMAL = replace(
    OPACITY,
    probabilities=Probabilities(normal=0.2, not_normal=0.7, lung_opacity=0.1),
    pneumonia=0.12,
    boxes=(),
    finding=Finding.ABNORMAL,
)
NORMAL = replace(
    OPACITY,
    probabilities=Probabilities(normal=0.9, not_normal=0.07, lung_opacity=0.03),
    pneumonia=0.031,
    boxes=(),
    finding=Finding.NORMAL,
)


def shadows(rows: int = ROWS, columns: int = COLUMNS) -> NDArray[np.uint16]:
    """Return a 12-bit picture with a bright body on black, brighter on its left half."""
    y, x = np.mgrid[0:rows, 0:columns]
    body = ((x - columns / 2) / (columns * 0.42)) ** 2 + ((y - rows / 2) / (rows * 0.46)) ** 2 < 1
    light = np.where(x < columns / 2, 3000, 1500) + 400 * np.sin(y / 11)
    return np.where(body, light, 60).astype(np.uint16)


@disable_value_validation()
def film(
    path: Path,
    *,
    monochrome1: bool = False,
    pixels: NDArray[np.uint16] | None = None,
    **attributes: Any,
) -> Path:
    """Write a chest film as a CR would, with `attributes` set, or left out where they are None."""
    seen = shadows() if pixels is None else pixels
    source = Dataset()
    source.SpecificCharacterSet = "ISO_IR 100"
    source.SOPClassUID = ComputedRadiographyImageStorage
    source.SOPInstanceUID = f"{STUDY}.1.1"
    source.StudyInstanceUID = STUDY
    source.SeriesInstanceUID = f"{STUDY}.1"
    source.StudyDate = source.AcquisitionDate = "20240311"
    source.StudyTime = source.AcquisitionTime = "101530"
    source.StudyID = "S7"
    source.StudyDescription = "Chest PA"
    source.AccessionNumber = "A7001"
    source.ReferringPhysicianName = "Referrer^Rita"
    source.PatientName = "Phantom^Paula"
    source.PatientID = "P-7"
    source.PatientBirthDate = "19610902"
    source.PatientSex = "F"
    source.PatientAge = "062Y"
    source.Modality = "CR"
    source.Manufacturer = "Phantoms"
    source.SeriesNumber = 1
    source.InstanceNumber = 1
    source.BodyPartExamined = "CHEST"
    source.ViewPosition = "PA"
    source.PatientOrientation = ["L", "F"]
    source.ImagerPixelSpacing = [0.2, 0.2]
    source.SamplesPerPixel = 1
    source.PhotometricInterpretation = "MONOCHROME1" if monochrome1 else "MONOCHROME2"
    source.Rows, source.Columns = seen.shape
    source.BitsAllocated, source.BitsStored, source.HighBit = 16, 12, 11
    source.PixelRepresentation = 0
    source.PixelData = (4095 - seen if monochrome1 else seen).astype("<u2").tobytes()
    for keyword, value in attributes.items():
        if value is None:
            delattr(source, keyword)
        else:
            setattr(source, keyword, value)
    source.file_meta = FileMetaDataset()
    source.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dcmwrite(path, source, enforce_file_format=True)
    return path


def job(*images: ImageResult, **changes: Any) -> StudyJob:
    """Return a job of `images` with the usual settings but for `changes`."""
    usual: dict[str, Any] = {
        "images": images,
        "device": DEVICE,
        "recorded_at": datetime(2024, 3, 11, 10, 16, 2, 250000, tzinfo=UTC),
        "revision": 1,
        "predecessor": None,
        "jpeg_quality": 90,
        "max_pixels": 100_000_000,
    }
    if "sc_max_side" in changes:
        changes["overlays"] = (Overlays(Look(max_side=changes.pop("sc_max_side"))),)
    return StudyJob(**{**usual, **changes})


def read(path: Path, reading: Reading = OPACITY) -> ImageResult:
    """Return a film that was read."""
    return ImageResult(path, reading, None)


def refused(path: Path, refusal: Refusal = LATERAL) -> ImageResult:
    """Return a film that was refused."""
    return ImageResult(path, None, refusal)


def keep(folder: Path, result: StudyResult) -> list[Path]:
    """Write the objects of `result` to `folder`, the report first."""
    return [_keep(folder, item) for item in result.objects]


def _keep(folder: Path, item: ResultObject) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{item.kind}-{item.sop_instance_uid[-8:]}.dcm"
    path.write_bytes(item.data)
    return path
