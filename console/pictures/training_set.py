"""Films with verdicts as a training set, in the layout of the RSNA challenge on Kaggle.

    stage_2_train_images/ID.dcm       the film, without anything that names a patient
    stage_2_train_labels.csv          patientId, x, y, width, height, Target: a row a box
    stage_2_detailed_class_info.csv   patientId, class
    nih_patients.csv                  patientId, nih_patient: which films are of one patient

`patientId` is a film's there. `hilum train-bundle` takes such a folder as it is.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from console.pictures.bare import bare
from console.pictures.pool import PoolOnDemand
from db.files import AwayError, FileStore
from db.verdicts import ABNORMAL, NORMAL, OPACITY, Labelled
from inference.isolation import ChildFailedError
from inference.reading import RefusedError

IMAGES = "stage_2_train_images"
LABELS = "stage_2_train_labels.csv"
CLASSES = "stage_2_detailed_class_info.csv"
PATIENTS = "nih_patients.csv"
CLASS_OF = {
    OPACITY: "Lung Opacity",
    ABNORMAL: "No Lung Opacity / Not Normal",
    NORMAL: "Normal",
}

Put = Callable[[str, bytes], None]
"""Takes a file: its path in the training set, and its bytes."""
Pseudonym = Callable[[str], str]
"""Gives a name to an identifier: the same each time, and of no use to who lacks the key."""


@dataclass(frozen=True, slots=True)
class Written:
    """How many films were written, and how many were left out, by why."""

    films: int
    without_boxes: int
    unreadable: int

    @property
    def sentence(self) -> str:
        """For people."""
        left = []
        if self.without_boxes:
            left.append(f"{self.without_boxes} with an opacity and no box")
        if self.unreadable:
            left.append(f"{self.unreadable} whose file cannot be read")
        films = "1 film" if self.films == 1 else f"{self.films} films"
        return f"{films} written" + (f"; left out: {', '.join(left)}." if left else ".")


def write(
    films: Iterable[Labelled], store: FileStore, pseudonym: Pseudonym, pool: PoolOnDemand, put: Put
) -> Written:
    """Write a training set. Films with an opacity that nobody marked are left out.

    Raises:
        OSError: a file cannot be written, or the object store is away.
    """
    labels = _Table("patientId", "x", "y", "width", "height", "Target")
    classes = _Table("patientId", "class")
    patients = _Table("patientId", "nih_patient")
    written = without_boxes = unreadable = 0
    for film in films:
        if film.finding == OPACITY and not film.boxes:
            without_boxes += 1
            continue
        # One UID may be of several films, where a sender has used it twice.
        name = pseudonym(f"film {film.sop_instance_uid} {film.instance_id}")[:32]
        data = _bare(pool, store, film.path, name)
        if data is None:
            unreadable += 1
            continue
        put(f"{IMAGES}/{name}.dcm", data)
        for box in film.boxes:
            labels.add(name, *(f"{value:.1f}" for value in box), "1")
        if not film.boxes:
            labels.add(name, "", "", "", "", "0")
        for _ in film.boxes or (None,):  # as in the challenge: a row a box here too
            classes.add(name, CLASS_OF[film.finding])
        # Without a Patient ID nobody knows whose it is: then it is a study's.
        whose = film.patient_id or film.study_instance_uid
        patients.add(name, pseudonym(f"patient {whose}")[:16])
        written += 1
    for file, table in ((LABELS, labels), (CLASSES, classes), (PATIENTS, patients)):
        put(file, table.encoded)
    return Written(written, without_boxes, unreadable)


def _bare(pool: PoolOnDemand, store: FileStore, path: str, name: str) -> bytes | None:
    try:
        with store.near(path) as near:
            return pool.run(bare, near, name)
    except FileNotFoundError:
        return None
    except AwayError:
        raise
    except (RefusedError, ChildFailedError, OSError):
        return None


class _Table:
    """A CSV file in the making."""

    def __init__(self, *columns: str) -> None:
        self._text = io.StringIO(newline="")
        self._writer = csv.writer(self._text, lineterminator="\n")
        self._writer.writerow(columns)

    def add(self, *values: str) -> None:
        self._writer.writerow(values)

    @property
    def encoded(self) -> bytes:
        return self._text.getvalue().encode()
