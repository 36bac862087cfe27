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
from training.results.curves import pair_iou
from training.results.plots import INK, MUTED
from training.results.runs import BoxPredictions

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


def choose(predictions: BoxPredictions, images: Mapping[str, Path], count: int = 8) -> list[Film]:
    """Choose films that have an image, evenly from the best overlap to the worst, and load them.

    Neither the best nor the worst alone would show what a regressor does. A film that cannot be
    decoded is drawn black, with that in its caption.
    """
    names = predictions.patient_id.tolist()
    overlap = pair_iou(predictions.truth, predictions.predicted)
    order = [int(k) for k in np.argsort(-overlap, kind="stable") if names[k] in images]
    if len(order) > count:
        order = [order[int(k)] for k in np.linspace(0, len(order) - 1, count).round()]
    found = []
    for k in order:
        image, caption = load_image(images[names[k]]), f"IoU {overlap[k]:.2f}"
        if image is None:
            image, caption = np.zeros((1, 1), np.uint8), f"{caption}, cannot be decoded"
        boxes = predictions.truth[k : k + 1], predictions.predicted[k : k + 1]
        found.append(Film(image, *boxes, caption))
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
