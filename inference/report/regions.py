"""The regions that a study's results mark: each box once, the same in report and presentation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from inference.reading import Box, Reading
from inference.report.study import Film, Study
from inference.report.uids import Namer

Corners = tuple[tuple[float, float], ...]
"""Points (column, row) of an image, 0, 0 being the top left corner of its top left pixel."""


@dataclass(frozen=True, slots=True)
class Region:
    """A box on a film, numbered from 1 through the study.

    `tracking_uid` names it wherever it is spoken of: in every object and in a later revision.
    """

    number: int
    film: Film
    box: Box
    tracking_uid: str

    @property
    def label(self) -> str:
        """What people call it; also its Tracking ID."""
        return f"Opacity {self.number}"

    @property
    def corners(self) -> Corners:
        """Its five points, closed, inside the image."""
        return closed_box(self.box, self.film.reading)


def regions(study: Study, namer: Namer) -> Iterator[Region]:
    """Yield every region of a study, film by film."""
    count = 0
    for film in study.films:
        for number, box in enumerate(film.reading.boxes, start=1):
            count += 1
            tracking = namer.tracking(film.header.sop_instance_uid, number)
            yield Region(count, film, box, tracking)


def closed_box(box: Box, reading: Reading) -> Corners:
    """Return the five (column, row) points of `box`, clockwise, cut at the edges of the image."""
    left, right = (_cut(x, reading.columns) for x in (box.x, box.x + box.width))
    top, bottom = (_cut(y, reading.rows) for y in (box.y, box.y + box.height))
    return (left, top), (right, top), (right, bottom), (left, bottom), (left, top)


def _cut(value: float, end: int) -> float:
    return min(max(round(float(value), 2), 0.0), float(end))
