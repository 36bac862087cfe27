"""An overlay picture as a Secondary Capture object beside its film."""

from __future__ import annotations

from datetime import datetime

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import SecondaryCaptureImageStorage

from inference.reading import Device
from inference.report import codes, tree, words
from inference.report.equipment import stamp
from inference.report.header import FilmHeader
from inference.report.uids import Namer

SERIES_NUMBER = 9002


def build_sc(
    film: FilmHeader,
    picture: NDArray[np.uint8],
    jpeg_quality: int,
    device: Device,
    namer: Namer,
    recorded_at: datetime,
    number: int,
) -> Dataset:
    """Return the Secondary Capture of `picture` (rows, columns, BGR), instance `number`."""
    image = Dataset()
    image.update(film.shared)
    stamp(image, device, recorded_at)
    image.SOPClassUID = SecondaryCaptureImageStorage
    image.SOPInstanceUID = namer.instance("sc", film.sop_instance_uid)
    image.SeriesInstanceUID = namer.series("sc")
    image.SeriesNumber = SERIES_NUMBER
    image.InstanceNumber = number
    image.Modality = "OT"
    image.SeriesDescription = f"{device.manufacturer} overlay, {words.NOT_VERIFIED}"[:64]
    image.BodyPartExamined = film.body_part
    image.PatientOrientation = list(film.orientation or ())
    image.ConversionType = "WSD"
    image.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    image.BurnedInAnnotation = "YES"
    image.DateOfSecondaryCapture = image.ContentDate
    image.TimeOfSecondaryCapture = image.ContentTime
    source = tree.reference(film.sop_class_uid, film.sop_instance_uid)
    source.PurposeOfReferenceCodeSequence = [tree.concept(codes.SOURCE_IMAGE_FOR_PROCESSING)]
    image.SourceImageSequence = [source]
    series = Dataset()
    series.SeriesInstanceUID = film.series_instance_uid
    series.ReferencedInstanceSequence = [tree.reference(film.sop_class_uid, film.sop_instance_uid)]
    image.ReferencedSeriesSequence = [series]

    frame = encode_jpeg(picture, jpeg_quality)
    image.Rows, image.Columns = picture.shape[:2]
    image.SamplesPerPixel = 3
    image.PlanarConfiguration = 0
    image.PhotometricInterpretation = "YBR_FULL_422"
    image.BitsAllocated = image.BitsStored = 8
    image.HighBit = 7
    image.PixelRepresentation = 0
    image.LossyImageCompression = "01"
    ratio = round(picture.size / len(frame), 2)
    image.LossyImageCompressionRatio = [*film.compression_ratios, ratio]
    image.LossyImageCompressionMethod = [*film.compression_methods, "ISO_10918_1"]
    image.PixelData = encapsulate([frame])
    image["PixelData"].VR = "OB"
    image["PixelData"].is_undefined_length = True
    return image


def encode_jpeg(picture: NDArray[np.uint8], quality: int) -> bytes:
    """Return `picture` (BGR) as baseline JPEG with 4:2:2 chroma."""
    done, data = cv2.imencode(
        ".jpg",
        picture,
        [
            cv2.IMWRITE_JPEG_QUALITY,
            quality,
            cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
            cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
        ],
    )
    if not done:
        raise ValueError("the overlay could not be encoded as JPEG")
    return data.tobytes()
