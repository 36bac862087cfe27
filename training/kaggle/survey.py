"""What is explored: films and boxes as columns, whatever they were read from."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.kaggle.check import FULL_SET
from training.kaggle.csvs import FolderError
from training.kaggle.folder import LabelRow
from training.tables import RSNA_CLASSES

Floats = NDArray[np.float64]
Texts = NDArray[np.str_]
Indices = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Films:
    """One element per film, ordered by patientId.

    `label` indexes `inference.manifest.CLASSES`, `target` is 0 or 1, `rows` the film's rows in the
    label file. `sex` and `view` are DICOM's values, "" where unknown. `age` is in years and
    `spacing` (between rows) in mm; NaN where unknown. `mean` and `std` are of the stored values,
    NaN without pixels. `patient` is the NIH patient and `revised_age` what NIH's table of 2020
    gives as age; "" and NaN where unknown.
    """

    ids: Texts
    label: Indices
    target: Indices
    rows: Indices
    sex: Texts
    view: Texts
    age: Floats
    spacing: Floats
    mean: Floats
    std: Floats
    patient: Texts
    revised_age: Floats

    def __len__(self) -> int:
        """Return the number of films."""
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Boxes:
    """One element per box: the index of its film, and x, y, width, height in its pixels."""

    film: Indices
    x: Floats
    y: Floats
    width: Floats
    height: Floats

    def __len__(self) -> int:
        """Return the number of boxes."""
        return len(self.film)

    @property
    def area(self) -> Floats:
        """Each box's area in pixels."""
        return self.width * self.height


@dataclass(frozen=True, slots=True)
class Survey:
    """All that the exploration looks at.

    `distinct` is the number of different values of each column that was read of the films, an
    absent value counting as one, and `constant` the value of those that have a single one. `paths`
    are the image files, empty where only tables are at hand; `test_films` is then None.
    """

    name: str
    films: Films
    boxes: Boxes
    label_rows: Sequence[LabelRow]
    class_rows: Sequence[tuple[str, str]]
    distinct: Mapping[str, int]
    constant: Mapping[str, str]
    paths: Mapping[str, Path]
    test_films: int | None

    @property
    def is_complete(self) -> bool:
        """Whether these are all the training films of the challenge."""
        return len(self.films) == FULL_SET.films

    @property
    def has_pixels(self) -> bool:
        """Whether statistics of the pixels are known."""
        return bool(np.isfinite(self.films.mean).any())


@dataclass(frozen=True, slots=True)
class Parts:
    """What a survey is made of: columns by name with one element per film, and the tables."""

    name: str
    headers: Mapping[str, Sequence[object]]
    columns: Mapping[str, Sequence[object]]
    label_rows: Sequence[LabelRow]
    class_rows: Sequence[tuple[str, str]]
    patients: Mapping[str, str]
    revised_ages: Mapping[str, float]
    paths: Mapping[str, Path] | None = None
    test_films: int | None = None


def make_survey(parts: Parts) -> Survey:
    """Put together what films, labels and classes all know; the check tells of the others.

    Raises:
        FolderError: there is no such film.
    """
    classes = {
        name: RSNA_CLASSES[label] for name, label in parts.class_rows if label in RSNA_CLASSES
    }
    targets: dict[str, int] = {}
    rows: dict[str, int] = {}
    for row in parts.label_rows:
        targets[row.patient_id] = max(row.target, targets.get(row.patient_id, 0))
        rows[row.patient_id] = rows.get(row.patient_id, 0) + 1
    all_ids = [str(name) for name in parts.headers["patientId"]]
    known = [at for at, name in enumerate(all_ids) if name in classes and name in targets]
    if not known:
        raise FolderError(
            f"{parts.name}: no film has an image, a label and a class: check the folder"
        )
    ids = [all_ids[at] for at in known]

    def column(name: str, read: Callable[[object], float]) -> Floats:
        values = parts.headers.get(name)
        return np.array([np.nan if values is None else read(values[at]) for at in known])

    def texts(name: str) -> Texts:
        return np.array([str(parts.headers[name][at] or "") for at in known])

    films = Films(
        ids=np.array(ids),
        label=np.array([classes[name] for name in ids]),
        target=np.array([targets[name] for name in ids]),
        rows=np.array([rows[name] for name in ids]),
        sex=texts("sex"),
        view=texts("view"),
        age=column("age", years),
        spacing=column("spacing", _number),
        mean=column("mean", _number),
        std=column("std", _number),
        patient=np.array([parts.patients.get(name, "") for name in ids]),
        revised_age=np.array([parts.revised_ages.get(name, np.nan) for name in ids]),
    )
    distinct = {name: len(set(values)) for name, values in parts.columns.items()}
    return Survey(
        name=parts.name,
        films=films,
        boxes=_boxes(ids, parts.label_rows),
        label_rows=parts.label_rows,
        class_rows=parts.class_rows,
        distinct=distinct,
        constant={n: _said(parts.columns[n][0]) for n, count in distinct.items() if count == 1},
        paths=parts.paths or {},
        test_films=parts.test_films,
    )


def _boxes(ids: Iterable[str], label_rows: Iterable[LabelRow]) -> Boxes:
    index = {name: at for at, name in enumerate(ids)}
    found = [
        (index[row.patient_id], *row.box)
        for row in label_rows
        if row.box is not None and row.patient_id in index
    ]
    table = np.array(found, np.float64).reshape(-1, 5)
    return Boxes(table[:, 0].astype(np.intp), *table[:, 1:].T)


def years(age: object) -> float:
    """Read a Patient's Age: "043Y", "018M" (PS3.5 6.2, AS), or the challenge's bare "43"."""
    found = re.fullmatch(r"\s*(\d{1,3})\s*([DWMY]?)\s*", "" if age is None else str(age))
    if found is None:
        return float("nan")
    return int(found[1]) / {"D": 365.25, "W": 52.18, "M": 12.0}.get(found[2], 1.0)


def _said(value: object) -> str:
    return "" if value is None else str(value)


def _number(value: object) -> float:
    try:
        return float("nan") if value is None else float(str(value))
    except ValueError:
        return float("nan")
