"""What the label and class files get wrong, each by itself and against the other."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from training.kaggle.folder import KaggleFolder
from training.kaggle.problem import FILM_PIXELS, Problem, error
from training.tables import LUNG_OPACITY, RSNA_CLASSES


def check_labels(folder: KaggleFolder) -> Iterator[Problem]:
    """Find repeated rows, and rows that contradict themselves or another row of their film."""
    rows = Counter(folder.labels)
    mend = "take the label file as the challenge gives it"
    yield from error(
        "label rows that stand there more than once",
        [row.patient_id for row, times in rows.items() if times > 1],
        "each row counts as a box of its own: keep one of them",
    )
    yield from error(
        "rows whose Target is neither 0 nor 1",
        [row.patient_id for row in rows if row.target not in (0, 1)],
        mend,
    )
    yield from error(
        "rows with Target 1 and no box",
        [row.patient_id for row in rows if row.target == 1 and row.box is None],
        mend,
    )
    yield from error(
        "rows with a box and Target 0",
        [row.patient_id for row in rows if row.target == 0 and row.box is not None],
        mend,
    )
    targets: dict[str, set[int]] = defaultdict(set)
    for row in rows:
        targets[row.patient_id].add(row.target)
    yield from error(
        "films with Target 1 in one row and 0 in another",
        [name for name, values in targets.items() if len(values) > 1],
        mend,
    )


def check_classes(folder: KaggleFolder) -> Iterator[Problem]:
    """Find unknown and contradictory classes, and films whose class is not what Target says."""
    mend = "take the class file as the challenge gives it"
    names: dict[str, set[str]] = defaultdict(set)
    for patient_id, name in folder.class_rows:
        names[patient_id].add(name)
    yield from error(
        f"classes other than {', '.join(RSNA_CLASSES)}",
        [film for film, given in names.items() if given - RSNA_CLASSES.keys()],
        mend,
    )
    yield from error(
        "films with two classes", [film for film, given in names.items() if len(given) > 1], mend
    )
    yield from error(
        "films whose class and Target disagree (Lung Opacity is 1, the others are 0)",
        [
            film
            for film, target in folder.targets().items()
            if (label := RSNA_CLASSES.get(folder.classes.get(film, ""))) is not None
            and (label == LUNG_OPACITY) != (target == 1)
        ],
        "take both label files from the same download",
    )


def check_boxes(folder: KaggleFolder, sizes: Mapping[str, tuple[int, int]]) -> Iterator[Problem]:
    """Find boxes that are empty or leave their film; `sizes` are columns, rows by patientId."""
    outside, empty = [], []
    for row in folder.labels:
        if row.box is None:
            continue
        x, y, width, height = row.box
        columns, rows = sizes.get(row.patient_id, (FILM_PIXELS, FILM_PIXELS))
        if not (width > 0 and height > 0 and math.isfinite(width * height)):
            empty.append(row.patient_id)
        elif not (x >= 0 and y >= 0 and x + width <= columns and y + height <= rows):
            outside.append(row.patient_id)
    mend = "x, y, width, height are pixels of the full film, origin top left: mend the label file"
    yield from error("boxes that reach outside their film", outside, mend)
    yield from error("boxes without an extent", empty, mend)
