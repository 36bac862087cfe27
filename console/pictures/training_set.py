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
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

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


class TrainingSet:
    """A training set in the making. Films with an opacity that nobody marked are left out."""

    def __init__(
        self, films: Iterable[Labelled], store: FileStore, pseudonym: Pseudonym, pool: PoolOnDemand
    ) -> None:
        self._films, self._store = films, store
        self._pseudonym, self._pool = pseudonym, pool
        self.written = Written(0, 0, 0)
        """What has been made of it until now."""

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Yield its files one by one: the path in it, and the bytes; the tables come last.

        Raises:
            OSError: the object store is away.
        """
        labels = _Table("patientId", "x", "y", "width", "height", "Target")
        classes = _Table("patientId", "class")
        patients = _Table("patientId", "nih_patient")
        for film in self._films:
            if film.finding == OPACITY and not film.boxes:
                self.written = replace(self.written, without_boxes=self.written.without_boxes + 1)
                continue
            # One UID may be of several films, where a sender has used it twice.
            name = self._pseudonym(f"film {film.sop_instance_uid} {film.instance_id}")[:32]
            data = _bare(self._pool, self._store, film.path, name)
            if data is None:
                self.written = replace(self.written, unreadable=self.written.unreadable + 1)
                continue
            yield f"{IMAGES}/{name}.dcm", data
            for box in film.boxes:
                labels.add(name, *(f"{value:.1f}" for value in box), "1")
            if not film.boxes:
                labels.add(name, "", "", "", "", "0")
            for _ in film.boxes or (None,):  # as in the challenge: a row a box here too
                classes.add(name, CLASS_OF[film.finding])
            # Without a Patient ID nobody knows whose it is: then it is a study's.
            whose = film.patient_id or film.study_instance_uid
            patients.add(name, self._pseudonym(f"patient {whose}")[:16])
            self.written = replace(self.written, films=self.written.films + 1)
        for file, table in ((LABELS, labels), (CLASSES, classes), (PATIENTS, patients)):
            yield file, table.encoded


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
