"""Small results as they lie in the data folder: a Comprehensive 3D SR and a JPEG overlay."""

from __future__ import annotations

import hashlib
from io import BytesIO

import cv2
import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    Comprehensive3DSRStorage,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    SecondaryCaptureImageStorage,
)

from db.files import FileStore
from db.reports import NewResult
from tests.db.makers import NOON
from tests.scp_service.films import uid


def sr() -> Dataset:
    """Make a Comprehensive 3D SR of one sentence."""
    sentence = Dataset()
    sentence.RelationshipType = "CONTAINS"
    sentence.ValueType = "TEXT"
    sentence.TextValue = "No sign of pneumonia."
    dataset = _result(Comprehensive3DSRStorage, "SR", ExplicitVRLittleEndian)
    dataset.ValueType = "CONTAINER"
    dataset.ContinuityOfContent = "SEPARATE"
    dataset.ContentSequence = Sequence([sentence])
    return dataset


def sc(rows: int = 48, columns: int = 64) -> Dataset:
    """Make a colour Secondary Capture, JPEG compressed."""
    ramp = np.zeros((rows, columns, 3), np.uint8)
    ramp[..., 2] = np.linspace(0, 255, columns).astype(np.uint8)
    _, jpeg = cv2.imencode(".jpg", ramp)
    dataset = _result(SecondaryCaptureImageStorage, "OT", JPEGBaseline8Bit)
    dataset.Rows, dataset.Columns = rows, columns
    dataset.SamplesPerPixel = 3
    dataset.PhotometricInterpretation = "YBR_FULL_422"
    dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelRepresentation = 0
    dataset.LossyImageCompression = "01"
    dataset.LossyImageCompressionMethod = "ISO_10918_1"
    dataset.LossyImageCompressionRatio = "8"
    dataset.PixelData = encapsulate([jpeg.tobytes()])
    dataset["PixelData"].is_undefined_length = True
    return dataset


def file(dataset: Dataset) -> bytes:
    """Encode a data set as a DICOM file."""
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def kept(store: FileStore, kind: str) -> NewResult:
    """Write an SR or SC to the data folder, and say what it is."""
    dataset = {"sr": sr, "sc": sc}[kind]()
    data = file(dataset)
    name = hashlib.sha256(dataset.SOPInstanceUID.encode()).hexdigest()[:32] + ".dcm"
    return NewResult(
        kind=kind,
        sop_class_uid=dataset.SOPClassUID,
        sop_instance_uid=dataset.SOPInstanceUID,
        series_instance_uid=dataset.SeriesInstanceUID,
        transfer_syntax_uid=dataset.file_meta.TransferSyntaxUID,
        path=store.write_result(name, data, NOON),
        size=len(data),
        file_sha256=hashlib.sha256(data).hexdigest(),
    )


def _result(sop_class: UID, modality: str, syntax: UID) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = UID(uid())
    dataset.StudyInstanceUID = uid()
    dataset.SeriesInstanceUID = uid()
    dataset.Modality = modality
    dataset.PatientID = "P"
    dataset.PatientName = "Test^Result"
    return dataset
