"""Films with their boxes: the true ones red, the predicted ones yellow, as in the report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from inference.prepare import load_display
from inference.reading import RefusedError
from inference.suppression import iou
from training.results.curves import corners, pair_iou
from training.results.measured import THRESHOLD
from training.results.plots import INK, MUTED
from training.results.runs import BoxPredictions, Detections

TRUE_COLOUR = "#e5383b"
PREDICTED_COLOUR = "#ffd60a"

_SIDE = 1024
"""Side of the film, in whose pixels boxes are."""
_SHOWN = 320
"""Side of a drawn film's image, in pixels."""
_MAX_PIXELS = 100_000_000


@dataclass(frozen=True, slots=True)
class Film:
    """A film to draw: `image` is (rows, columns) uint8, air dark.

    Boxes are (n, 4) x, y, width, height in pixels of the 1024 x 1024 film, however small `image`
    is.
    """

    image: NDArray[np.uint8]
    truth: NDArray[np.floating]
    predicted: NDArray[np.floating]
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A film that may be drawn, and by how much its boxes overlap: 0 to 1."""

    patient_id: str
    truth: NDArray[np.floating]
    predicted: NDArray[np.floating]
    overlap: float
    caption: str


def candidates(predictions: BoxPredictions | Detections) -> list[Candidate]:
    """List the films of a box run or of a detector; of this, detections of score 0.5 or more."""
    if isinstance(predictions, BoxPredictions):
        overlaps = pair_iou(predictions.truth, predictions.predicted)
        boxes = zip(predictions.truth[:, None], predictions.predicted[:, None], strict=True)
        return [
            Candidate(str(name), truth, found, float(overlap), f"IoU {overlap:.2f}")
            for name, (truth, found), overlap in zip(
                predictions.patient_id, boxes, overlaps, strict=True
            )
        ]
    listed = []
    for k, name in enumerate(predictions.patient_id):
        found, truth = (
            predictions.found[k][predictions.scores[k] >= THRESHOLD],
            predictions.truth[k],
        )
        overlap = float(iou(corners(truth), corners(found)).max(initial=0.0))
        listed.append(Candidate(str(name), truth, found, overlap, f"{len(found)} detections"))
    return listed


def choose(films: Sequence[Candidate], images: Mapping[str, Path], count: int = 8) -> list[Film]:
    """Choose films that have an image, evenly from the best overlap to the worst, and load them.

    Neither the best nor the worst alone would show what a network does. A film that cannot be
    decoded is drawn black, with that in its caption.
    """
    ranked = sorted((f for f in films if f.patient_id in images), key=lambda film: -film.overlap)
    if len(ranked) > count:
        ranked = [ranked[int(k)] for k in np.linspace(0, len(ranked) - 1, count).round()]
    found = []
    for each in ranked:
        image, caption = load_image(images[each.patient_id]), each.caption
        if image is None:
            image, caption = np.zeros((1, 1), np.uint8), f"{caption}, cannot be decoded"
        found.append(Film(image, each.truth, each.predicted, caption))
    return found


def load_image(path: Path) -> NDArray[np.uint8] | None:
    """Load a DICOM or JPEG film as a reader sees it, made small for drawing.

    None where it cannot be decoded.
    """
    if path.suffix.lower() == ".dcm":
        try:
            image = load_display(path, _MAX_PIXELS)[1]
        except RefusedError:
            return None
    else:
        grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if grey is None:
            return None
        image = grey.astype(np.uint8)
    scale = min(1.0, _SHOWN / max(image.shape))
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def films_figure(films: Sequence[Film], *, columns: int = 4) -> Figure:
    """Draw films side by side with their boxes and captions."""
    rows = math.ceil(len(films) / columns)
    figure = Figure(figsize=(2.6 * columns, 2.85 * rows + 0.3), layout="constrained")
    cells = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in cells:
        axes.set_axis_off()
    for axes, film in zip(cells, films, strict=False):
        axes.imshow(film.image, cmap="gray", vmin=0, vmax=255, extent=(0, _SIDE, _SIDE, 0))
        for boxes, draw in ((film.truth, _true), (film.predicted, _predicted)):
            for box in np.asarray(boxes, np.float64).reshape(-1, 4).tolist():
                axes.add_patch(draw(*box))
        axes.set_xlim(0, _SIDE)
        axes.set_ylim(_SIDE, 0)
        axes.set_title(film.caption, fontsize=8, color=INK, loc="left", pad=3)
    figure.legend(
        [_true(0, 0, 1, 1), _predicted(0, 0, 1, 1)],
        ["true", "predicted"],
        loc="outside lower left",
        ncols=2,
        frameon=False,
        fontsize=8,
        labelcolor=MUTED,
        handlelength=1.4,
        handleheight=0.9,
    )
    return figure


def _true(x: float, y: float, width: float, height: float) -> Rectangle:
    return Rectangle((x, y), width, height, fill=False, edgecolor=TRUE_COLOUR, linewidth=1.8)


def _predicted(x: float, y: float, width: float, height: float) -> Rectangle:
    return Rectangle(
        (x, y),
        width,
        height,
        fill=False,
        edgecolor=PREDICTED_COLOUR,
        linewidth=1.8,
        linestyle=(0, (4, 1.5)),
    )
