"""The film of the self-test: a bundle's golden input as a DICOM film, and what is read from it.

The picture is the one that the bundle was exported with, so what the network gives for it stands in
the bundle. No patient is on it.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian

from inference.bundle import Bundle, Golden, load_golden
from inference.eligibility import Stated, stated
from inference.outcome import outcome
from inference.pixels import Letterbox
from inference.predict import Raw
from inference.prepare import Prepared
from inference.reading import Reading, Refusal
from settings import Eligibility

TOLERANCE = 0.01
"""Greatest difference of a probability from the golden one, 0 to 1: the picture's greys are spread
anew on the way, which moves some by one step in 255."""

_LEAST = 1e-30


@dataclass(frozen=True, slots=True)
class GoldenFilm:
    """A film that is like no other, and what must come of it.

    `data` is the DICOM file. `finding` is what its reading must say, or None where the bundle
    refuses it; `probability` that of pneumonia, 0 to 1.
    """

    data: bytes
    study_instance_uid: str
    bundle: str
    finding: str | None
    probability: float | None
    tolerance: float = TOLERANCE


def golden_film(bundle: Bundle, source: str, limits: Eligibility) -> GoldenFilm:
    """Make the film of a bundle, with UIDs of its own, such as may be read.

    `source` is whom it says it is made by.

    Raises:
        BundleError: the bundle has no golden input that can be read.
    """
    golden = load_golden(bundle)
    film = _film(golden.inputs[0], source, limits)
    file = BytesIO()
    film.save_as(file, enforce_file_format=True)
    expected = expected_outcome(golden, bundle, stated(film))
    read = expected if isinstance(expected, Reading) else None
    return GoldenFilm(
        file.getvalue(),
        str(film.StudyInstanceUID),
        bundle.label,
        None if read is None else read.finding.value,
        None if read is None else read.pneumonia,
    )


def expected_outcome(golden: Golden, bundle: Bundle, said: Stated) -> Reading | Refusal:
    """Return what becomes of the golden film, of which its header says what is `said`."""
    raw = Raw(
        _logits(golden.probabilities[0]),
        golden.boxes[0],
        golden.scores[0],
        None if golden.kinds is None else _logits(golden.kinds[0]),
    )
    size = bundle.input_size
    box = Letterbox(1.0, 1.0, 0.0, 0.0, size)
    prepared = Prepared(golden.inputs[0], box, size, size, "", said)
    return outcome(raw, prepared, bundle)


def _logits(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.log(np.maximum(probabilities, _LEAST)).astype(np.float32)


def _film(picture: NDArray[np.uint8], source: str, limits: Eligibility) -> Dataset:
    film = Dataset()
    film.file_meta = FileMetaDataset()
    film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film.SOPClassUID = ComputedRadiographyImageStorage
    film.StudyInstanceUID, film.SeriesInstanceUID, film.SOPInstanceUID = (
        f"2.25.{uuid.uuid4().int}" for _ in range(3)
    )
    film.PatientName, film.PatientID = f"{source}^Film", source
    film.PatientBirthDate, film.PatientSex = "", ""
    film.PatientAge = f"{max(50, limits.min_age_years):03d}Y"
    film.StudyDate, film.StudyTime, film.AccessionNumber = "", "", ""
    film.StudyID, film.ReferringPhysicianName = "", ""
    film.StudyDescription = "Self-test of Hilum, not a patient"
    film.Modality = next(iter(limits.modalities), "CR")
    film.Manufacturer = "Hilum"
    film.SeriesNumber, film.InstanceNumber = 1, 1
    film.BodyPartExamined, film.ViewPosition = "CHEST", "PA"
    film.PatientOrientation = ["L", "F"]
    film.SamplesPerPixel, film.PhotometricInterpretation = 1, "MONOCHROME2"
    film.Rows, film.Columns = picture.shape
    film.BitsAllocated = film.BitsStored = 8
    film.HighBit, film.PixelRepresentation = 7, 0
    film.ImagerPixelSpacing = [0.8, 0.8]
    film.PixelData = picture.tobytes()
    return film
