"""Films that the bundle got most wrong, with true and drawn boxes; no name, no id."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.manifest import CLASSES
from inference.prepare import Prepared
from training.evaluation.case import Boxes, Case, Predictions
from training.tables import LUNG_OPACITY

MOST = 8
"""Films of a kind."""
SIDE = 360
"""Side of a picture in pixels."""
_TRUE, _DRAWN = (96, 214, 120), (74, 160, 255)  # green and orange, as OpenCV has them: BGR


@dataclass(frozen=True, slots=True)
class Shown:
    """A film in the gallery: a short digest, a sentence on it, and a JPEG for a page."""

    film: str
    words: str
    jpeg: str


@dataclass(frozen=True, slots=True)
class Gallery:
    """The worst films, worst first."""

    false_positives: tuple[Shown, ...]
    false_negatives: tuple[Shown, ...]


def gallery(predictions: Predictions, find: Callable[[str], Prepared | None]) -> Gallery:
    """Show the films without opacity of the highest, and those with it of the lowest probability.

    `find` gives a film's input by its digest, None where it cannot be had. Only films on the wrong
    side of the operating point are shown.
    """
    opacity, positive, called = predictions.opacity, predictions.positive, predictions.called()
    order = np.argsort(opacity, kind="stable").tolist()
    cases = predictions.cases
    false = [cases[i] for i in reversed(order) if called[i] and not positive[i]][:MOST]
    missed = [cases[i] for i in order if positive[i] and not called[i]][:MOST]
    return Gallery(_shown(false, find), _shown(missed, find))


def draw_boxes(case: Case, prepared: Prepared) -> NDArray[np.uint8]:
    """Return a film's input (SIDE, SIDE, 3) in BGR with its true boxes and the drawn ones."""
    size = len(prepared.input)
    grey = cv2.resize(prepared.input, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    picture = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
    for boxes, colour in ((case.truth or (), _TRUE), (case.drawn, _DRAWN)):
        for x0, y0, x1, y1 in _on_input(boxes, case, prepared):
            low = round(x0 * SIDE / size), round(y0 * SIDE / size)
            high = round(x1 * SIDE / size), round(y1 * SIDE / size)
            cv2.rectangle(picture, low, high, colour, 2, cv2.LINE_AA)
    return np.asarray(picture, np.uint8)


def _on_input(
    boxes: Boxes, case: Case, prepared: Prepared
) -> list[tuple[float, float, float, float]]:
    """Bring boxes to input pixels, in which those of out-of-fold predictions are already."""
    corners = [(box[0], box[1], box[2], box[3]) for box in boxes]
    return corners if case.fold >= 0 else [prepared.letterbox.to_input(*each) for each in corners]


def _shown(cases: Sequence[Case], find: Callable[[str], Prepared | None]) -> tuple[Shown, ...]:
    found = []
    for case in cases:
        prepared = find(case.film)
        if prepared is not None:
            _, data = cv2.imencode(
                ".jpg", draw_boxes(case, prepared), [cv2.IMWRITE_JPEG_QUALITY, 82]
            )
            words = f"{case.probabilities[LUNG_OPACITY]:.0%} opacity; {_said(case)}"
            jpeg = base64.b64encode(data.tobytes()).decode()
            found.append(Shown(case.film[:8], words, jpeg))
    return tuple(found)


def _said(case: Case) -> str:
    label = CLASSES[case.label].replace("_", " ")
    boxes = "boxes unknown" if case.truth is None else f"true boxes: {len(case.truth)}"
    return f"labelled {label}, {case.view or 'view unknown'}, {boxes}, drawn: {len(case.drawn)}"
