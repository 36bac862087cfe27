"""Finds the parts of the Kaggle folder, packed or not, and reads its tables; judges nothing."""

from __future__ import annotations

import math
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from training.kaggle.csvs import FolderError, is_zip, read_rows
from training.kaggle.unpack import Progress, unpack
from training.tables import RSNA_CLASSES, Film, Rectangle

TRAIN_IMAGES = "stage_2_train_images"
TEST_IMAGES = "stage_2_test_images"
TRAIN_LABELS = "stage_2_train_labels"
CLASS_INFO = "stage_2_detailed_class_info"
SAMPLE_SUBMISSION = "stage_2_sample_submission"
NIH_PATIENTS = "nih_patients"
DOWNLOAD = "rsna-pneumonia-detection-challenge.zip"
IMAGE_SUFFIXES = (".dcm", ".jpg", ".jpeg")
CSV_SUFFIXES = (".csv", ".csv.zip", ".csv.gz", ".zip")

LABEL_COLUMNS = ("patientId", "x", "y", "width", "height", "Target")
CLASS_COLUMNS = ("patientId", "class")


@dataclass(frozen=True, slots=True)
class LabelRow:
    """One row of the label file.

    `target` is what stands there, 0 or 1 in a sound file; `box` is x, y, width, height in pixels
    of the film, None where the row has none.
    """

    patient_id: str
    target: int
    box: Rectangle | None


@dataclass(frozen=True, slots=True)
class KaggleFolder:
    """The challenge's folder: images by patientId (sorted), and its tables as they stand in it.

    A "patientId" of the challenge is one film. `labels` and `class_rows` keep the order and the
    repetitions of the files; `classes` has each film's class once, by the challenge's own names
    (keys of `training.tables.RSNA_CLASSES`). `test_images` is empty and `sample_submission` None
    where the folder has no such part; the sample may be packed (`csvs.read_rows` reads either).
    `patients` gives the NIH patient of a film where `nih_patients.csv` tells it. `twice` are image
    files whose patientId another image file in the same part has too; they are not used.
    """

    path: Path
    train_images: dict[str, Path]
    test_images: dict[str, Path]
    labels: list[LabelRow]
    class_rows: list[tuple[str, str]]
    sample_submission: Path | None
    patients: dict[str, str] = field(default_factory=dict)
    twice: tuple[Path, ...] = ()
    classes: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        """Give each film the class that its first row has."""
        classes: dict[str, str] = {}
        for patient_id, name in self.class_rows:
            classes.setdefault(patient_id, name)
        object.__setattr__(self, "classes", classes)

    def targets(self) -> dict[str, int]:
        """Each film's target, 1 where any of its rows says 1, in the order of the label file."""
        targets: dict[str, int] = {}
        for row in self.labels:
            targets[row.patient_id] = max(row.target, targets.get(row.patient_id, 0))
        return targets

    def boxes(self) -> dict[str, tuple[Rectangle, ...]]:
        """Each labelled film's boxes, each box once, in the order of the label file."""
        boxes: dict[str, dict[Rectangle, None]] = defaultdict(dict)
        for row in self.labels:
            held = boxes[row.patient_id]
            if row.box is not None:
                held[row.box] = None
        return {patient_id: tuple(held) for patient_id, held in boxes.items()}

    def films(self) -> list[Film]:
        """The films that have an image, a label and a known class, ordered by patientId."""
        boxes = self.boxes()
        return [
            Film(
                patient_id,
                path,
                self.patients.get(patient_id, patient_id),
                RSNA_CLASSES[self.classes[patient_id]],
                boxes[patient_id],
                "rsna",
            )
            for patient_id, path in self.train_images.items()
            if patient_id in boxes and self.classes.get(patient_id) in RSNA_CLASSES
        ]


def open_folder(
    path: Path, *, unpack_to: Path | None = None, progress: Progress | None = None
) -> KaggleFolder:
    """Find images and tables in the folder or one level below, and read the tables.

    Images (DICOM or JPEG, named by patientId) stand in folders or in zip files of the challenge's
    names; tables may be plain, zipped or gzipped. The whole download as one zip file will do, too.
    What is zipped is unpacked once and resumed after a kill: images beside their zip file, or,
    where that cannot be written, below `unpack_to` (default `$XDG_CACHE_HOME/hilum/kaggle`).
    `progress` is told the files unpacked so far and their number.

    Raises:
        FolderError: parts are missing (the message names all of them), or one cannot be read.
    """
    path = path.expanduser()
    if path.is_file() and is_zip(path):
        path = unpack(path, unpack_to, progress)
    if not path.is_dir():
        raise FolderError(f"{path}: there is no such folder")
    places = _places(path)
    whole = next((p / DOWNLOAD for p in places if (p / DOWNLOAD).is_file()), None)
    if whole is not None and _find_images(places, TRAIN_IMAGES) is None:
        places = _places(unpack(whole, unpack_to, progress))
    train, labels, classes = (
        _find_images(places, TRAIN_IMAGES),
        _find_table(places, TRAIN_LABELS),
        _find_table(places, CLASS_INFO),
    )
    if train is None or labels is None or classes is None:
        raise FolderError(_what_is_missing(path, train, labels, classes))
    test = _find_images(places, TEST_IMAGES)
    patients = _find_table(places, NIH_PATIENTS)
    train_images, train_twice = _images(train, unpack_to, progress)
    test_images, test_twice = _images(test, unpack_to, progress) if test else ({}, [])
    return KaggleFolder(
        path=path,
        train_images=train_images,
        test_images=test_images,
        labels=read_labels(labels),
        class_rows=read_classes(classes),
        sample_submission=_find_table(places, SAMPLE_SUBMISSION),
        patients=read_patients(patients) if patients else {},
        twice=(*train_twice, *test_twice),
    )


def read_labels(file: Path) -> list[LabelRow]:
    """Read `stage_2_train_labels.csv`, row by row.

    Raises:
        FolderError: the file or a column is missing, or a row holds something else than numbers.
    """
    return [_label(file, line, row) for line, row in read_rows(file, LABEL_COLUMNS)]


def read_classes(file: Path) -> list[tuple[str, str]]:
    """Read the rows of `stage_2_detailed_class_info.csv`: patientId, class name.

    Raises:
        FolderError: the file or a column is missing.
    """
    return [(row["patientId"], row["class"]) for _, row in read_rows(file, CLASS_COLUMNS)]


def read_patients(file: Path) -> dict[str, str]:
    """Read a table of the NIH patient of each film: patientId, nih_patient.

    Raises:
        FolderError: the file or a column is missing.
    """
    rows = read_rows(file, ("patientId", "nih_patient"))
    return {row["patientId"]: row["nih_patient"] for _, row in rows}


def _places(path: Path) -> list[Path]:
    """Give the folder and the folders one level below it that are not parts themselves."""
    below = sorted(each for each in path.iterdir() if each.is_dir())
    return [path, *(each for each in below if each.name not in (TRAIN_IMAGES, TEST_IMAGES))]


def _find_images(places: Sequence[Path], name: str) -> Path | None:
    """Find the folder that holds the images itself, or else their zip file."""
    for place in places:
        for folder in (place / name, place / name / name):
            if folder.is_dir() and next(_image_files(folder), None) is not None:
                return folder
        if (place / f"{name}.zip").is_file():
            return place / f"{name}.zip"
    return None


def _find_table(places: Sequence[Path], name: str) -> Path | None:
    candidates = (place / f"{name}{suffix}" for place in places for suffix in CSV_SUFFIXES)
    return next((file for file in candidates if file.is_file()), None)


def _what_is_missing(path: Path, *found: Path | None) -> str:
    names = (
        f"the folder {TRAIN_IMAGES} (or {TRAIN_IMAGES}.zip) with its images",
        f"{TRAIN_LABELS}.csv",
        f"{CLASS_INFO}.csv",
    )
    missing = [name for name, part in zip(names, found, strict=True) if part is None]
    return (
        f"{path}: {' and '.join(missing)} not found, neither there nor one level below: give the"
        " folder that the challenge's download was saved in"
    )


def _images(
    part: Path, unpack_to: Path | None, progress: Progress | None
) -> tuple[dict[str, Path], list[Path]]:
    """List a part's image files by patientId (sorted), and those that stand there twice."""
    folder = unpack(part, unpack_to, progress) if part.is_file() else part
    images: dict[str, Path] = {}
    twice = []
    for name in sorted(_image_files(folder)):
        file = folder / name
        if images.setdefault(file.stem, file) is not file:
            twice.append(file)
    if not images:
        raise FolderError(f"{part}: no image (.dcm, .jpg) in it: unpack or download it again")
    return images, twice


def _image_files(folder: Path) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.lower().endswith(IMAGE_SUFFIXES) and not entry.name.startswith("."):
                yield entry.name


def _label(file: Path, line: int, row: dict[str, str]) -> LabelRow:
    values = [row[key].strip() for key in LABEL_COLUMNS[1:5]]
    try:
        target = float(row["Target"])
        numbers = [float(value) for value in values if value]
    except ValueError:
        raise FolderError(f"{file}, line {line}: a number is needed in every column") from None
    if not target.is_integer() or len(numbers) not in (0, 4):
        raise FolderError(f"{file}, line {line}: a whole Target and all or none of a box needed")
    if not numbers or all(math.isnan(number) for number in numbers):
        return LabelRow(row["patientId"], int(target), None)
    x, y, width, height = numbers
    return LabelRow(row["patientId"], int(target), (x, y, width, height))
