"""Folders of labelled films become tables: the Kaggle folder and an NIH folder."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from inference.manifest import CLASSES

Rectangle = tuple[float, float, float, float]
Source = Literal["rsna", "nih"]
"""The data set that a film is from."""

NORMAL, NOT_NORMAL, LUNG_OPACITY = range(len(CLASSES))
RSNA_CLASSES = {
    "Normal": NORMAL,
    "No Lung Opacity / Not Normal": NOT_NORMAL,
    "Lung Opacity": LUNG_OPACITY,
}


class TableError(Exception):
    """A data folder is not as it should be; the message names the file and what is wrong."""


@dataclass(frozen=True, slots=True)
class Film:
    """One labelled film.

    `label` indexes `bundle.CLASSES`. `boxes` are x, y, width, height in pixels of the film, and
    None where nobody looked for them. `patient` is the NIH patient where that is known: the RSNA
    films were drawn from NIH's, and one NIH patient is many RSNA "patients".
    """

    id: str
    path: Path
    patient: str
    label: int
    boxes: tuple[Rectangle, ...] | None
    source: Source


def read_kaggle(folder: Path) -> list[Film]:
    """Read the RSNA challenge's training films (Shih et al. 2019), ordered by patientId.

    `nih_patients.csv` (patientId, nih_patient), where the folder has one, tells which films are of
    one patient; without it every film counts as a patient of its own.

    Raises:
        TableError: a file or column is missing, or labels, boxes and images do not agree.
    """
    classes: dict[str, int] = {}
    for row in _rows(folder / "stage_2_detailed_class_info.csv", ("patientId", "class")):
        if row["class"] not in RSNA_CLASSES:
            raise TableError(f"{folder / 'stage_2_detailed_class_info.csv'}: unknown class")
        classes[row["patientId"]] = RSNA_CLASSES[row["class"]]
    boxes: dict[str, set[Rectangle]] = defaultdict(set)
    labels = folder / "stage_2_train_labels.csv"
    for row in _rows(labels, ("patientId", "x", "y", "width", "height", "Target")):
        found = boxes[row["patientId"]]
        if row["Target"] == "1":
            x, y, width, height = (float(row[key]) for key in ("x", "y", "width", "height"))
            found.add((x, y, width, height))
    if classes.keys() != boxes.keys():
        raise TableError(f"{labels}: its patientIds are not those of the class file")
    patients: dict[str, str] = {}
    if (folder / "nih_patients.csv").exists():
        for row in _rows(folder / "nih_patients.csv", ("patientId", "nih_patient")):
            patients[row["patientId"]] = row["nih_patient"]
    films = []
    for name, label in sorted(classes.items()):
        path = folder / "stage_2_train_images" / f"{name}.dcm"
        if not path.exists():
            raise TableError(f"{path}: this film is in the label file and not in the folder")
        if (label == LUNG_OPACITY) != bool(boxes[name]):
            raise TableError(f"{labels}: class and boxes disagree about the film {path.name}")
        films.append(
            Film(name, path, patients.get(name, name), label, tuple(sorted(boxes[name])), "rsna")
        )
    return films


def read_nih(folder: Path) -> list[Film]:
    """Read frontal films with labels mined from reports (Wang et al. 2017), ordered by name.

    "No Finding" counts as normal, pneumonia as lung opacity, anything else as not normal: noisy
    labels. Boxes are known for few positives; a film without findings has none.

    Raises:
        TableError: a file or column is missing.
    """
    columns = ("image", "finding_labels", "pneumonia", "patient", "boxes_xywh")
    films = []
    for row in sorted(_rows(folder / "labels.csv", columns), key=lambda row: row["image"]):
        path = folder / "images" / row["image"]
        if not path.exists():
            raise TableError(f"{path}: this film is in the label file and not in the folder")
        label = NOT_NORMAL
        boxes: tuple[Rectangle, ...] | None = None
        if row["finding_labels"] == "No Finding":
            label, boxes = NORMAL, ()
        elif row["pneumonia"] == "1":
            label = LUNG_OPACITY
            known = json.loads(row["boxes_xywh"] or "[]")
            boxes = tuple((x, y, w, h) for kind, x, y, w, h in known if kind == "Pneumonia") or None
        films.append(Film(path.stem, path, row["patient"], label, boxes, "nih"))
    return films


def _rows(file: Path, columns: Iterable[str]) -> list[dict[str, str]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except OSError as error:
        raise TableError(f"{file}: cannot be read: {error.strerror}") from None
    missing = [name for name in columns if not rows or name not in rows[0]]
    if missing:
        raise TableError(f"{file}: no rows with the column {missing[0]!r}")
    return rows
