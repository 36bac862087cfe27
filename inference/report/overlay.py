"""A film with the reading burned in, as an RGB picture. No DICOM here."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.reading import Device, Reading
from inference.report import words

_AMBER = (40, 190, 255)


def draw(film: NDArray[np.uint8], reading: Reading, device: Device) -> NDArray[np.uint8]:
    """Return `film` (rows, columns), as a person sees it, as BGR with boxes and a legend."""
    picture: NDArray[np.uint8] = cv2.cvtColor(film, cv2.COLOR_GRAY2BGR)
    scale = film.shape[1] / reading.columns
    for box in reading.boxes:
        corner = (round(box.x * scale), round(box.y * scale))
        opposite = (round((box.x + box.width) * scale), round((box.y + box.height) * scale))
        cv2.rectangle(picture, corner, opposite, _AMBER, 2, cv2.LINE_AA)
    cv2.putText(
        picture, words.headline(reading), (10, film.shape[0] - 20), 0, 0.5, _AMBER, 1, cv2.LINE_AA
    )
    return picture
