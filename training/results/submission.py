"""The challenge's submission: every test film with its boxes, written and checked."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.bundle import Bundle
from inference.pixels import network_input, pixel_aspect
from inference.predict import Predictor, Runtime, reading
from inference.prepare import load_display
from inference.reading import Box, RefusedError
from training.kaggle.csvs import FolderError, read_rows
from training.results.runs import BoxPredictions, RunError, load_run

FILM_SIDE = 1024
"""Side of the challenge's films, in whose pixels a submission gives boxes."""
COLUMNS = ("patientId", "PredictionString")

_MAX_PIXELS = 100_000_000
_BATCH = 16


@dataclass(frozen=True, slots=True)
class Predicted:
    """A film's boxes, in pixels of the 1024 x 1024 film; `problem` says why it was not read."""

    patient_id: str
    boxes: tuple[Box, ...]
    problem: str | None = None


def from_bundle(
    images: Mapping[str, Path], bundle: Bundle, *, runtime: Runtime = "auto"
) -> Iterator[Predicted]:
    """Read every film with a bundle, in order, a few at a time.

    The bundle's operating point decides whether a film has boxes, as in the service. Who may be
    read is not asked here: the challenge wants an answer for every film, children's too.

    Args:
        images: Films by patientId, DICOM or JPEG.
        bundle: The model.
        runtime: What runs the network.

    Raises:
        BundleError: the network cannot be used.
    """
    predictor = Predictor(bundle, runtime=runtime)
    remaining = iter(images.items())
    while group := list(islice(remaining, _BATCH)):
        loaded = [_load(path) for _, path in group]
        fitted = {
            place: network_input(film.image, bundle.input_form, pixel_aspect=film.aspect)
            for place, film in enumerate(loaded)
            if isinstance(film, _Image)
        }
        raws = (
            predictor.predict(np.stack([square for square, _ in fitted.values()])) if fitted else []
        )
        said = dict(zip(fitted, raws, strict=True))
        for place, ((patient_id, _), film) in enumerate(zip(group, loaded, strict=True)):
            if isinstance(film, str):
                yield Predicted(patient_id, (), film)
            else:
                rows, columns = film.image.shape
                found = reading(said[place], fitted[place][1], rows, columns, bundle)
                yield Predicted(patient_id, _on_film(found.boxes, rows, columns))


def from_run(folder: Path, patient_ids: Iterable[str]) -> Iterator[Predicted]:
    """Take the films' boxes from the predictions of a box run, each with confidence 1.

    A regressor draws one box on every film and cannot say "nothing here".

    Raises:
        RunError: the run cannot be read, or is no box run.
    """
    predictions = load_run(folder).predictions
    if not isinstance(predictions, BoxPredictions):
        raise RunError(f"{folder}: a submission needs boxes, and this run predicts none")
    boxes = dict(zip(predictions.patient_id.tolist(), predictions.predicted.tolist(), strict=True))
    for patient_id in patient_ids:
        if patient_id in boxes:
            x, y, width, height = boxes[patient_id]
            box = _clip(Box(x, y, width, height, score=1.0))
            yield Predicted(patient_id, (box,) if box is not None else ())
        else:
            yield Predicted(patient_id, (), "the run has no prediction for it")


def write_submission(path: Path, films: Iterable[Predicted]) -> None:
    """Write one line a film, in order; the file has its name only when it is whole."""
    part = path.with_name(f".{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    with part.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        for film in films:
            writer.writerow((film.patient_id, prediction_string(film.boxes)))
    part.replace(path)


def prediction_string(boxes: Sequence[Box]) -> str:
    """Write boxes as the challenge wants them: "confidence x y width height", joined by blanks.

    Corners are rounded to tenths of a pixel, so that rounding moves no box off the film.
    """
    groups = []
    for box in boxes:
        x0, y0 = round(box.x, 1), round(box.y, 1)
        x1, y1 = round(box.x + box.width, 1), round(box.y + box.height, 1)
        groups.append(f"{box.score:.6f} {x0:.1f} {y0:.1f} {x1 - x0:.1f} {y1 - y0:.1f}")
    return " ".join(groups)


def sample_ids(sample: Path) -> list[str]:
    """Read the patientIds of a sample submission, in order; packed or not.

    Raises:
        FolderError: the file cannot be read.
    """
    return [row["patientId"] for _, row in read_rows(sample, COLUMNS)]


def check_submission(path: Path, sample: Path) -> list[str]:
    """Hold a submission against the sample file; return what is wrong, nothing where all is well.

    The sample's films must stand there once each and no others; every box must be a confidence from
    0 to 1 and x, y, width, height of a box with an area, wholly on the 1024 x 1024 film.

    Raises:
        FolderError: the sample cannot be read.
    """
    wanted = sample_ids(sample)
    try:
        rows = read_rows(path, COLUMNS)
    except (FolderError, OSError) as error:
        return [str(error)]
    with path.open(encoding="utf-8-sig") as stream:
        first = stream.readline().strip()
    problems = [] if first == ",".join(COLUMNS) else [f"line 1: {','.join(COLUMNS)} is needed"]
    counts = Counter(row["patientId"] for _, row in rows)
    twice = sum(count > 1 for count in counts.values())
    for number, what in (
        (len(set(wanted) - set(counts)), "of the sample are missing"),
        (len(set(counts) - set(wanted)), "are not in the sample"),
        (twice, "stand there more than once"),
    ):
        if number:
            problems.append(f"{number} films {what}")
    for line, row in rows:
        problem = _wrong(row["PredictionString"])
        if problem is not None:
            problems.append(f"line {line}: {problem}")
    return problems


@dataclass(frozen=True, slots=True)
class _Image:
    image: NDArray[np.uint8]
    aspect: float


def _load(path: Path) -> _Image | str:
    """Load a film as a reader sees it, or say why it cannot be."""
    if path.suffix.lower() == ".dcm":
        try:
            header, image = load_display(path, _MAX_PIXELS)
        except RefusedError as refused:
            return refused.refusal.reason
        return _Image(image, pixel_aspect(header))
    grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    return "The image cannot be decoded." if grey is None else _Image(grey.astype(np.uint8), 1.0)


def _on_film(boxes: Iterable[Box], rows: int, columns: int) -> tuple[Box, ...]:
    """Bring boxes from an image that may have been made smaller to the film, and clip them."""
    across, down = FILM_SIDE / columns, FILM_SIDE / rows
    scaled = (
        Box(b.x * across, b.y * down, b.width * across, b.height * down, b.score) for b in boxes
    )
    return tuple(box for box in map(_clip, scaled) if box is not None)


def _clip(box: Box) -> Box | None:
    """Cut a box at the film's edge; None where less than a pixel is left."""
    x0, x1 = max(box.x, 0.0), min(box.x + box.width, float(FILM_SIDE))
    y0, y1 = max(box.y, 0.0), min(box.y + box.height, float(FILM_SIDE))
    return Box(x0, y0, x1 - x0, y1 - y0, box.score) if min(x1 - x0, y1 - y0) >= 1 else None


def _wrong(text: str) -> str | None:
    """Say what is wrong with a prediction string, None where nothing is."""
    words = text.split()
    if len(words) % 5:
        return f"{len(words)} values, which are not groups of five"
    try:
        values = [float(word) for word in words]
    except ValueError:
        return "a value that is no number"
    if not all(map(math.isfinite, values)):
        return "a value that is not finite"
    for confidence, x, y, width, height in zip(*[iter(values)] * 5, strict=True):
        if not 0 <= confidence <= 1:
            return "a confidence that is not from 0 to 1"
        if width <= 0 or height <= 0:
            return "a box without area"
        if x < 0 or y < 0 or max(x + width, y + height) > FILM_SIDE + 1e-6:
            return f"a box that is not wholly on the {FILM_SIDE} x {FILM_SIDE} film"
    return None
