"""Small CR data sets, encoded as peers send them."""

from __future__ import annotations

import itertools
import zlib
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
)

_numbers = itertools.count(1)


def uid() -> str:
    """Return a UID that no other call returns."""
    return f"1.2.826.0.1.3680043.9998.{next(_numbers)}"


def cr(syntax: str = ExplicitVRLittleEndian, **values: Any) -> Dataset:
    """Make a CR image of a study of its own; `values` replace or add attributes, None removes."""
    number = next(_numbers)
    dataset = Dataset()
    dataset.SOPClassUID = ComputedRadiographyImageStorage
    dataset.SOPInstanceUID = uid()
    dataset.StudyDate = "20240301"
    dataset.AccessionNumber = f"ACC{number}"
    dataset.Modality = "CR"
    dataset.StationName = "ROOM1"
    dataset.StudyDescription = "Thorax p.a."
    dataset.PatientName = "Test^Film"
    dataset.PatientID = f"P{number}"
    dataset.PatientBirthDate = "19700101"
    dataset.PatientSex = "O"
    dataset.StudyInstanceUID = uid()
    dataset.SeriesInstanceUID = uid()
    dataset.Rows = dataset.Columns = 16
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelRepresentation = 0
    dataset.PixelData = np.arange(256, dtype=np.uint8).tobytes()
    for keyword, value in values.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    return dataset


def encode(dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """Encode a data set without preamble and meta information."""
    how = UID(syntax)
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = how.is_implicit_VR, how.is_little_endian
    write_dataset(buffer, dataset)
    encoded = buffer.getvalue()
    if how == DeflatedExplicitVRLittleEndian:
        packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        encoded = packer.compress(encoded) + packer.flush()
    return encoded
