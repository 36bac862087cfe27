"""The display shutter: which part of a film its maker wants shown (PS3.3 C.7.6.11)."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from inference import elements

LEAST_OPEN = 0.1
"""A shutter that leaves less than this share of the film open is taken for a mistake."""


def open_area(header: Dataset, rows: int, columns: int) -> NDArray[np.bool_] | None:
    """The (rows, columns) pixels inside every shutter of the header; None where all are open.

    Shutters whose numbers are missing or cannot be read, and those that would hide nearly all of
    the film (see `LEAST_OPEN`), are ignored.
    """
    shapes = elements.texts(header, "ShutterShape")
    if not shapes:
        return None
    mask = np.ones((rows, columns), np.uint8)
    for shape in shapes:
        drawn = np.zeros((rows, columns), np.uint8)
        if _draw(header, shape, drawn):
            mask &= drawn
    if mask.all() or mask.mean() < LEAST_OPEN:
        return None
    return mask.astype(np.bool_)


def _draw(header: Dataset, shape: str, mask: NDArray[np.uint8]) -> bool:
    """Fill the shutter's opening with ones; rows and columns of the header count from 1."""
    if shape == "RECTANGULAR":
        edges = [
            elements.integer(header, f"Shutter{edge}Edge")
            for edge in ("LeftVertical", "UpperHorizontal", "RightVertical", "LowerHorizontal")
        ]
        if None in edges:
            return False
        left, upper, right, lower = (_inside(edge or 0) for edge in edges)
        mask[max(upper - 1, 0) : max(lower, 0), max(left - 1, 0) : max(right, 0)] = 1
        return True
    if shape == "CIRCULAR":
        center = elements.numbers(header, "CenterOfCircularShutter")
        radius = elements.integer(header, "RadiusOfCircularShutter")
        if len(center) != 2 or radius is None or radius < 1:
            return False
        row, column = (_inside(value) - 1 for value in center)
        cv2.circle(mask, (column, row), _inside(radius), 1, thickness=cv2.FILLED)
        return True
    if shape == "POLYGONAL":
        corners = [
            _inside(value) for value in elements.numbers(header, "VerticesOfThePolygonalShutter")
        ]
        if len(corners) < 6 or len(corners) % 2:
            return False
        points = np.array(corners, np.int32).reshape(-1, 2)[:, ::-1] - 1
        cv2.fillPoly(mask, [points], 1)
        return True
    return False


def _inside(value: float) -> int:
    """Keep a coordinate in the range that the drawing functions take."""
    return int(min(max(value, -30_000), 30_000))
