"""Makes small Kaggle folders of films that never were."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

SIDE = 64
CLASSES = ("Normal", "No Lung Opacity / Not Normal", "Lung Opacity")
LABEL_COLUMNS = ("patientId", "x", "y", "width", "height", "Target")
EMPTY = ("", "", "", "", "0")

Row = tuple[str, ...]


@dataclass
class Folder:
    """A folder's tables before they are written; a test breaks what it wants to see found."""

    path: Path
    labels: list[Row] = field(default_factory=list)
    classes: list[Row] = field(default_factory=list)
    submission: list[Row] = field(default_factory=list)

    @property
    def train(self) -> Path:
        return self.path / "stage_2_train_images"

    @property
    def test(self) -> Path:
        return self.path / "stage_2_test_images"

    def write(self) -> Path:
        """Write the tables and return the folder."""
        write_csv(self.path / "stage_2_train_labels.csv", LABEL_COLUMNS, self.labels)
        write_csv(
            self.path / "stage_2_detailed_class_info.csv", ("patientId", "class"), self.classes
        )
        write_csv(
            self.path / "stage_2_sample_submission.csv",
            ("patientId", "PredictionString"),
            self.submission,
        )
        return self.path


def make_folder(path: Path, films: int = 9, tests: int = 2) -> Folder:
    """Make a sound folder: a third of the films positive, by turns with one box and with two."""
    folder = Folder(path)
    folder.train.mkdir(parents=True)
    folder.test.mkdir()
    for number in range(films):
        name = film_name(number)
        label = number % 3
        view = "AP" if number % 2 else "PA"
        write_film(folder.train / f"{name}.dcm", seed=number, age=str(20 + 3 * number), view=view)
        boxes = [("5.0", "6.0", "20.0", "30.0", "1"), ("34.0", "6.0", "20.0", "30.0", "1")]
        rows = [EMPTY] if label < 2 else boxes[: 1 + number % 2]
        folder.labels += [(name, *row) for row in rows]
        folder.classes += [(name, CLASSES[label])] * len(rows)
    for number in range(tests):
        name = f"test-{number:04d}"
        write_film(folder.test / f"{name}.dcm", seed=1_000_000 + number)
        folder.submission.append((name, "0.5 0 0 100 100"))
    folder.write()
    return folder


def film_name(number: int) -> str:
    return f"film-{number:04d}"


def write_film(
    path: Path,
    *,
    seed: int,
    age: str = "50",
    sex: str = "M",
    view: str = "PA",
    patient_id: str | None = None,
) -> np.ndarray:
    """Write a film of noise with the challenge's attributes; return its stored values."""
    stored = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.SOPClassUID = SecondaryCaptureImageStorage
    ds.SOPInstanceUID = f"2.25.{10_000 + seed}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = f"2.25.{20_000 + seed}", f"2.25.{30_000 + seed}"
    ds.Modality, ds.ConversionType, ds.BodyPartExamined = "CR", "WSD", "CHEST"
    ds.PatientName = ds.PatientID = path.stem if patient_id is None else patient_id
    ds.PatientSex, ds.PatientAge, ds.ViewPosition = sex, None, view
    ds.PixelSpacing = [0.139, 0.139]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = stored.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.PixelData = stored.tobytes()
    from pydicom.dataelem import RawDataElement
    from pydicom.tag import Tag

    # The challenge writes ages without the unit that PS3.5 asks for.
    raw = age.encode() + b" " * (len(age) % 2)
    ds[Tag("PatientAge")] = RawDataElement(Tag("PatientAge"), "AS", len(raw), raw, 0, False, True)
    ds.save_as(path, enforce_file_format=True)
    return stored


def write_csv(file: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([columns, *rows])
