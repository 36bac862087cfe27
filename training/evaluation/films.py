"""A bundle reads a folder of labelled films as the service would: the same checks and pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from inference.bundle import MANIFEST, Bundle
from inference.eligibility import check_pixels, stated
from inference.manifest import OperatingPoint
from inference.outcome import outcome
from inference.pixels import InputForm, network_input
from inference.predict import Predictor, Raw, reading
from inference.prepare import Limits, Prepared, prepare
from inference.reading import Box, Reading, Refusal, RefusalCode
from training.evaluation.case import (
    Boxes,
    Case,
    Predictions,
    Refused,
    corners_of,
    to_boxes,
)
from training.evaluation.choice import usual_boxes
from training.evaluation.out_of_fold import FLOOR, pseudonym, without_thresholds
from training.evaluation.traits import Traits, dicom_traits, nih_traits
from training.tables import LUNG_OPACITY, Film, TableError, read_kaggle, read_nih

BATCH = 16
Progress = Callable[[int, int], None]


def read_folder(folder: Path) -> list[Film]:
    """Read a folder of labelled films: the RSNA challenge's, or NIH films with their labels.

    Raises:
        TableError: it is neither, or a file in it is wrong.
    """
    if (folder / "stage_2_detailed_class_info.csv").exists():
        return read_kaggle(folder)
    if (folder / "labels.csv").exists():
        return read_nih(folder)
    raise TableError(
        f"{folder}: neither stage_2_detailed_class_info.csv (the RSNA challenge's folder) nor"
        " labels.csv (a folder of NIH films) is in it"
    )


def is_bundle(path: Path) -> bool:
    """Tell whether a path is a bundle's folder."""
    return (path / MANIFEST).exists()


def read_films(
    predictor: Predictor,
    films: Sequence[Film],
    limits: Limits,
    *,
    inverted: bool = True,
    tell: Progress = lambda done, total: None,
) -> Predictions:
    """Read films as the service would.

    The constant boxes, a shortcut control, are the usual ones of these very films, which flatters
    the control.

    Args:
        predictor: The bundle, loaded.
        films: The films with their labels.
        limits: Which films may be read.
        inverted: Read every film a second time with black for white, for a shortcut control.
        tell: Told how many films are done, of how many.
    """
    traits = nih_traits(films)
    read: list[Case] = []
    refused: list[Refused] = []
    for start in range(0, len(films), BATCH):
        ready: list[tuple[Film, Prepared]] = []
        for film in films[start : start + BATCH]:
            made = prepare_film(film, predictor.bundle.input_form, limits)
            if isinstance(made, Refusal):
                refused.append(_refused(film, made))
            else:
                ready.append((film, made))
        if ready:
            inputs = np.stack([prepared.input for _, prepared in ready])
            raws = predictor.predict(inputs)
            turned = predictor.predict(_invert(ready)) if inverted else [None] * len(ready)
            for (film, prepared), raw, other in zip(ready, raws, turned, strict=True):
                said = outcome(raw, prepared, predictor.bundle)
                if isinstance(said, Refusal):
                    refused.append(_refused(film, said))
                    continue
                known = traits.get(film.id) or dicom_traits(film.path)
                read.append(_case(film, known, prepared, raw, said, other, predictor.bundle))
        tell(min(start + BATCH, len(films)), len(films))
    point = predictor.bundle.operating_point
    return Predictions(point, _with_usual_boxes(read, point), tuple(refused))


def prepare_film(film: Film, form: InputForm, limits: Limits) -> Prepared | Refusal:
    """Prepare a film for the network; a picture that is no DICOM file skips the checks of tags."""
    if film.path.suffix.lower() == ".dcm":
        return prepare(film.path, form, limits)
    image = cv2.imread(str(film.path), cv2.IMREAD_GRAYSCALE)
    if image is None:
        return Refusal(RefusalCode.UNDECODABLE, "The image cannot be decoded.")
    display = np.asarray(image, np.uint8)
    refusal = check_pixels(display)
    if refusal is not None:
        return refusal
    square, box = network_input(display, form)
    rows, columns = display.shape
    return Prepared(square, box, rows, columns, "", stated(Dataset()))


def _invert(ready: Sequence[tuple[Film, Prepared]]) -> NDArray[np.uint8]:
    """Turn the films black for white; the bars beside them stay black."""
    turned = []
    for _, prepared in ready:
        box, square = prepared.letterbox, np.zeros_like(prepared.input)
        x0, y0, x1, y1 = box.to_input(0, 0, prepared.columns, prepared.rows)
        film = np.s_[round(y0) : round(y1), round(x0) : round(x1)]
        square[film] = 255 - prepared.input[film]
        turned.append(square)
    return np.stack(turned)


def _case(
    film: Film,
    known: Traits,
    prepared: Prepared,
    raw: Raw,
    said: Reading,
    turned: Raw | None,
    bundle: Bundle,
) -> Case:
    rows, columns = prepared.rows, prepared.columns
    kept = raw.scores >= FLOOR
    faint = Raw(raw.logits, raw.boxes[kept], raw.scores[kept])
    seen = reading(faint, prepared.letterbox, rows, columns, _all_boxes(bundle))
    p = said.probabilities
    corners = np.array([(x, y, x + w, y + h) for x, y, w, h in film.boxes or ()]).reshape(-1, 4)
    return Case(
        film=pseudonym("film", film.id),
        patient=pseudonym("patient", film.patient),
        fold=-1,
        source=film.source,
        label=film.label,
        view=known.view,
        sex=known.sex,
        age=known.age,
        width=columns,
        height=rows,
        probabilities=(p.normal, p.not_normal, p.lung_opacity),
        thresholds={name: at.threshold for name, at in bundle.operating_points.items()},
        truth=None if film.boxes is None else to_boxes(corners),
        drawn=_boxes(said.boxes),
        candidates=_boxes(seen.boxes),
        intensity=float(prepared.input.mean()),
        inverted=None if turned is None else _opacity(turned, bundle),
    )


def _all_boxes(bundle: Bundle) -> Bundle:
    """The bundle as it would be if every film were positive and every box sure enough."""
    return replace(
        bundle,
        boxes=without_thresholds(bundle.boxes),
        operating_points={bundle.operating_point: OperatingPoint(0.0, 1.0, 0.0)},
    )


def _opacity(raw: Raw, bundle: Bundle) -> float:
    return float(bundle.calibration(raw.logits)[LUNG_OPACITY])


def _boxes(boxes: Sequence[Box]) -> Boxes:
    corners = np.array([(b.x, b.y, b.x + b.width, b.y + b.height) for b in boxes])
    return to_boxes(corners.reshape(-1, 4), np.array([b.score for b in boxes], np.float64))


def _refused(film: Film, refusal: Refusal) -> Refused:
    return Refused(
        pseudonym("film", film.id),
        pseudonym("patient", film.patient),
        film.source,
        film.label,
        str(refusal.code),
    )


def _with_usual_boxes(cases: Sequence[Case], point: str) -> tuple[Case, ...]:
    """Give every film called positive the usual boxes, as large as they are on its picture."""
    truth = []
    for case in cases:
        size = np.array([case.width, case.height, case.width, case.height])
        truth.append((corners_of(case.truth or ()) / size).astype(np.float32))
    usual = usual_boxes(truth, 1.0)
    return tuple(
        replace(
            case, constant=to_boxes(usual * np.array([case.width, case.height] * 2, np.float32))
        )
        if case.probabilities[LUNG_OPACITY] >= case.thresholds[point]
        else case
        for case in cases
    )
