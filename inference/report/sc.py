"""An overlay picture as a Secondary Capture beside its film (PS3.3 A.8.1)."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import SecondaryCaptureImageStorage

from inference.report import codes, explicit, words
from inference.report.equipment import new_result
from inference.report.header import FilmHeader, ReportError
from inference.report.job import StudyJob
from inference.report.uids import Namer

SERIES_NUMBER = 9002


def build_sc(
    film: FilmHeader, picture: NDArray[np.uint8], number: int, job: StudyJob, namer: Namer
) -> Dataset:
    """Return `picture` (rows, columns, BGR) as instance `number` of the overlays."""
    image = new_result(film, job.device, job.recorded_at)
    image.SOPClassUID = SecondaryCaptureImageStorage
    image.SOPInstanceUID = namer.instance("sc", film.sop_instance_uid)
    image.SeriesInstanceUID = namer.series("sc")
    image.SeriesNumber = SERIES_NUMBER
    image.InstanceNumber = number
    image.Modality = "OT"
    image.SeriesDescription = words.series_description("overlay", job.device)
    image.BodyPartExamined = "CHEST"  # the defined term, whatever the film calls it
    image.PatientOrientation = list(film.orientation or ())
    image.ConversionType = "WSD"
    image.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    image.BurnedInAnnotation = "YES"
    image.DerivationDescription = "Film as displayed, with the reading of an algorithm burned in"
    image.DateOfSecondaryCapture = image.ContentDate
    image.TimeOfSecondaryCapture = image.ContentTime
    _refer_to(film, image)
    _put_pixels(picture, encode_jpeg(picture, job.jpeg_quality), film, image)
    return image


def encode_jpeg(picture: NDArray[np.uint8], quality: int) -> bytes:
    """Return `picture` (BGR) as baseline JPEG with 4:2:2 chroma."""
    parameters = [
        cv2.IMWRITE_JPEG_QUALITY,
        quality,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
    ]
    done, data = cv2.imencode(".jpg", picture, parameters)
    if not done:
        raise ReportError("an overlay could not be encoded as JPEG")
    return bytes(data)


def _refer_to(film: FilmHeader, image: Dataset) -> None:
    """Name the film as the source (PS3.3 C.7.6.1.1.4, C.12.2)."""
    class_and_instance = film.sop_class_uid, film.sop_instance_uid
    source = explicit.reference(*class_and_instance, codes.SOURCE_IMAGE_FOR_PROCESSING)
    series = explicit.item(
        {
            0x0008114A: explicit.sequence([explicit.reference(*class_and_instance)]),
            0x0020000E: ("UI", film.series_instance_uid.encode("ascii")),
        }
    )
    explicit.put(image, {0x00082112: ("SQ", source), 0x00081115: ("SQ", series)})


def _put_pixels(picture: NDArray[np.uint8], frame: bytes, film: FilmHeader, image: Dataset) -> None:
    image.Rows, image.Columns = picture.shape[:2]
    image.SamplesPerPixel = 3
    image.PlanarConfiguration = 0
    image.PhotometricInterpretation = "YBR_FULL_422"
    image.BitsAllocated = image.BitsStored = 8
    image.HighBit = 7
    image.PixelRepresentation = 0
    compressions = [*film.compressions, (round(picture.size / len(frame), 2), "ISO_10918_1")]
    image.LossyImageCompression = "01"
    image.LossyImageCompressionRatio = [str(ratio)[:16] for ratio, _ in compressions]
    image.LossyImageCompressionMethod = [method for _, method in compressions]
    image.PixelData = encapsulate([frame])
    image["PixelData"].VR = "OB"
    image["PixelData"].is_undefined_length = True
