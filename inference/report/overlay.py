"""A film with the reading burned in, as an RGB picture. No DICOM here."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.reading import Device, Reading
from inference.report import words

Picture = NDArray[np.uint8]

_AMBER = (40, 190, 255)


def draw(film: Picture, reading: Reading, device: Device, *, max_side: int = 0) -> Picture:
    """Return `film` (rows, columns), as a person sees it, as BGR with boxes and a legend.

    `max_side` is the longest side of the picture in pixels; 0, or more than the film has, keeps the
    film's own size.
    """
    film = _fit(film, max_side)
    picture = np.asarray(cv2.cvtColor(film, cv2.COLOR_GRAY2BGR), dtype=np.uint8)
    scale = film.shape[1] / reading.columns
    for box in reading.boxes:
        corner = (round(box.x * scale), round(box.y * scale))
        opposite = (round((box.x + box.width) * scale), round((box.y + box.height) * scale))
        cv2.rectangle(picture, corner, opposite, _AMBER, 2, cv2.LINE_AA)
    cv2.putText(
        picture, words.headline(reading), (10, film.shape[0] - 20), 0, 0.5, _AMBER, 1, cv2.LINE_AA
    )
    return picture


def _fit(film: Picture, max_side: int) -> Picture:
    longest = max(film.shape)
    if not 0 < max_side < longest:
        return film
    rows, columns = (max(round(side * max_side / longest), 1) for side in film.shape)
    return np.asarray(cv2.resize(film, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)
