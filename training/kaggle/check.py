"""What is wrong with a Kaggle folder, and what to do about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from training.kaggle.check_films import check_films, check_repeated_films, look
from training.kaggle.check_labels import check_boxes, check_classes, check_labels
from training.kaggle.csvs import FolderError, read_rows
from training.kaggle.folder import KaggleFolder
from training.kaggle.problem import Problem, Severity, error
from training.kaggle.unpack import Progress


@dataclass(frozen=True, slots=True)
class Counts:
    """How much a folder holds. A positive film has at least one row with Target 1."""

    films: int
    label_rows: int
    boxes: int
    positive_films: int
    test_films: int


FULL_SET = Counts(26_684, 30_227, 9_555, 6_012, 3_000)
"""The complete stage 2 data (Shih et al. 2019)."""


def count(folder: KaggleFolder) -> Counts:
    """Count films, label rows, boxes, positive films and test films."""
    return Counts(
        films=len(folder.train_images),
        label_rows=len(folder.labels),
        boxes=sum(row.box is not None for row in folder.labels),
        positive_films=sum(target == 1 for target in folder.targets().values()),
        test_films=len(folder.test_images),
    )


def check(
    folder: KaggleFolder,
    *,
    pixels: bool = True,
    processes: int = 0,
    progress: Progress | None = None,
) -> list[Problem]:
    """Find what is wrong, errors first.

    Counts against the complete set (a smaller set is noted, not wrong), films and rows without
    their counterpart, repeated and contradictory rows, boxes outside their film; and, with
    `pixels`, files that cannot be decoded, films of another size or another patientId than their
    name says, and films with the same pixels. `progress` is told the films read and their number.
    """
    problems = [
        *_counts(folder),
        *_counterparts(folder),
        *check_labels(folder),
        *check_classes(folder),
    ]
    problems += _submission(folder)
    sizes: dict[str, tuple[int, int]] = {}
    if pixels:
        seen = look(folder, processes, progress)
        problems += check_films(seen)
        problems += check_repeated_films(folder, seen)
        sizes = {
            path.stem: (film.columns, film.rows)
            for path, film in seen.items()
            if film.columns and film.rows
        }
    problems += check_boxes(folder, sizes)
    return sorted(problems, key=lambda problem: problem.severity is Severity.NOTE)


def _counts(folder: KaggleFolder) -> Iterator[Problem]:
    found = count(folder)
    if found == FULL_SET:
        yield Problem(Severity.NOTE, "this is the complete set", found.films, "nothing to do")
    elif found.films < FULL_SET.films and len(folder.targets()) < FULL_SET.films:
        yield Problem(
            Severity.NOTE,
            f"this is a part of the set, {found.films:,} of {FULL_SET.films:,} training films",
            found.films,
            "everything runs on it; figures are not comparable with those of the complete set",
        )
    else:
        for name, is_, should in _differences(found):
            yield Problem(
                Severity.ERROR,
                f"{name}: {is_:,} found, {should:,} in the complete set",
                abs(is_ - should),
                "download and unpack the stage 2 files again",
            )


def _differences(found: Counts) -> Iterator[tuple[str, int, int]]:
    for name in Counts.__slots__:
        is_, should = getattr(found, name), getattr(FULL_SET, name)
        if is_ != should:
            yield name.replace("_", " "), is_, should


def _counterparts(folder: KaggleFolder) -> Iterator[Problem]:
    images, labels, classes = folder.train_images, folder.targets(), folder.classes
    again = "download the images again, or take the rows out"
    relabel = "download the label files again, or take the films out"
    yield from error("label rows whose film is missing", labels.keys() - images.keys(), again)
    yield from error("films without a label row", images.keys() - labels.keys(), relabel)
    yield from error("labelled films without a class", labels.keys() - classes.keys(), relabel)
    yield from error("classes of films without a label", classes.keys() - labels.keys(), relabel)
    yield from error(
        "films that are in the training and in the test folder",
        images.keys() & folder.test_images.keys(),
        "take them out of one: a test on a film that was trained on says nothing",
    )
    yield from error(
        "films that stand there in two formats",
        [path.name for path in folder.twice],
        "keep one of the two; only the first is used",
    )


def _submission(folder: KaggleFolder) -> Iterator[Problem]:
    if folder.sample_submission is None:
        yield Problem(
            Severity.NOTE,
            "no sample submission",
            1,
            "download stage_2_sample_submission.csv if a submission is to be made",
        )
        return
    if not folder.test_images:
        yield Problem(
            Severity.NOTE,
            "no test images",
            1,
            "download stage_2_test_images if a submission is to be made",
        )
        return
    try:
        rows = read_rows(folder.sample_submission, ("patientId", "PredictionString"))
    except FolderError as unreadable:
        yield Problem(Severity.ERROR, str(unreadable), 1, "download the sample submission again")
        return
    times = Counter(row["patientId"] for _, row in rows)
    again = "download the test images and the sample submission again"
    yield from error("films twice in the sample", [n for n, k in times.items() if k > 1], again)
    yield from error(
        "films of the sample submission without an image",
        times.keys() - folder.test_images.keys(),
        again,
    )
    yield from error(
        "test films that are not in the sample submission",
        folder.test_images.keys() - times.keys(),
        again,
    )
