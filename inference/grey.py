"""How grey a film is as the network gets it: what tells that a station's films have changed."""

from __future__ import annotations

from dataclasses import dataclass

import cv2

from inference.prepare import Prepared


@dataclass(frozen=True, slots=True)
class Grey:
    """Mean and standard deviation of a film's grey values, 0 (black) to 255."""

    mean: float
    spread: float


def grey(film: Prepared) -> Grey:
    """Measure a prepared film, without the margins that make it square."""
    size = film.letterbox.size
    left, top, right, bottom = film.letterbox.to_input(0, 0, film.columns, film.rows)
    area = film.input[
        max(0, round(top)) : min(size, round(bottom)),
        max(0, round(left)) : min(size, round(right)),
    ]
    mean, spread = cv2.meanStdDev(area)
    return Grey(float(mean.item()), float(spread.item()))
