"""An overlay picture as a Secondary Capture beside its film (PS3.3 A.8.1)."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom.uid import SecondaryCaptureImageStorage

import codes
from inference.report import explicit, words
from inference.report.equipment import new_result
from inference.report.header import FilmHeader, ReportError
from inference.report.job import StudyJob
from inference.report.look import Look
from inference.report.uids import Namer

SERIES_NUMBER = 9002


def build_sc(
    film: FilmHeader,
    picture: NDArray[np.uint8],
    number: int,
    job: StudyJob,
    namer: Namer,
    look: Look,
) -> explicit.Elements:
    """Return `picture` (rows, columns, BGR) as instance `number` of the overlays of a look."""
    image = new_result(film, job.device, job.recorded_at)
    date = explicit.text(image, "InstanceCreationDate")
    time = explicit.text(image, "InstanceCreationTime")
    image |= explicit.attributes(
        ContentDate=date,
        ContentTime=time,
        SOPClassUID=SecondaryCaptureImageStorage,
        SOPInstanceUID=namer.instance("sc", film.sop_instance_uid, look.name),
        SeriesInstanceUID=namer.series("sc", look.name),
        SeriesNumber=SERIES_NUMBER,
        InstanceNumber=number,
        Modality="OT",
        SeriesDescription=words.series_description("overlay", job.device),
        BodyPartExamined="CHEST",  # the defined term, whatever the film calls it
        PatientOrientation=film.orientation or (),
        ConversionType="WSD",
        ImageType=["DERIVED", "SECONDARY", "OTHER"],
        BurnedInAnnotation="YES",
        DerivationDescription="Film as displayed, with the reading of an algorithm burned in",
        DateOfSecondaryCapture=date,
        TimeOfSecondaryCapture=time,
    )
    return image | _source(film) | _pixels(picture, encode_jpeg(picture, job.jpeg_quality), film)


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


def _source(film: FilmHeader) -> explicit.Added:
    """Name the film as the source (PS3.3 C.7.6.1.1.4, C.12.2)."""
    class_and_instance = film.sop_class_uid, film.sop_instance_uid
    source = explicit.reference(*class_and_instance, codes.SOURCE_IMAGE_FOR_PROCESSING)
    series = explicit.item(
        {
            0x0008114A: explicit.sequence([explicit.reference(*class_and_instance)]),
            0x0020000E: ("UI", film.series_instance_uid.encode("ascii")),
        }
    )
    return {0x00082112: ("SQ", source), 0x00081115: ("SQ", series)}


def _pixels(picture: NDArray[np.uint8], encoded: bytes, film: FilmHeader) -> explicit.Added:
    rows, columns = picture.shape[:2]
    compressions = [*film.compressions, (round(picture.size / len(encoded), 2), "ISO_10918_1")]
    return explicit.frame(encoded) | explicit.attributes(
        Rows=rows,
        Columns=columns,
        SamplesPerPixel=3,
        PlanarConfiguration=0,
        PhotometricInterpretation="YBR_FULL_422",
        BitsAllocated=8,
        BitsStored=8,
        HighBit=7,
        PixelRepresentation=0,
        LossyImageCompression="01",
        LossyImageCompressionRatio=[str(ratio)[:16] for ratio, _ in compressions],
        LossyImageCompressionMethod=[method for _, method in compressions],
    )
