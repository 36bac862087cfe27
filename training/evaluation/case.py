"""One evaluated film: what is known of it and what the bundle said. Plain values only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from training.tables import LUNG_OPACITY

Boxes = tuple[tuple[float, ...], ...]
"""Boxes x0, y0, x1, y1 in pixels, predicted ones with a score behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A film that was read.

    `film` and `patient` are digests. `fold` is the network that gave the outputs, -1 where it is
    the bundle's own. `label` indexes `bundle.CLASSES`; `view`, `sex` and `age` (a group of years)
    are "" where unknown. Boxes are in pixels of a picture of `width` x `height`: `truth`, None
    where nobody looked for them; `drawn` as the service gives them; `candidates` whatever the box
    head saw, also on films called negative; `constant` the usual boxes, in place of the box head's.
    `probabilities` are calibrated, in the order of `bundle.CLASSES`; `thresholds` by operating
    point. `intensity` is the mean of the input's pixels, 0 to 255, `inverted` the probability of
    opacity of the film turned black for white; None where they were not measured.
    """

    film: str
    patient: str
    fold: int
    source: str
    label: int
    view: str
    sex: str
    age: str
    width: int
    height: int
    probabilities: tuple[float, float, float]
    thresholds: Mapping[str, float]
    truth: Boxes | None
    drawn: Boxes = ()
    candidates: Boxes = ()
    constant: Boxes = ()
    intensity: float | None = None
    inverted: float | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """A film that the service would not read; `code` is the refusal's."""

    film: str
    patient: str
    source: str
    label: int
    code: str


@dataclass(frozen=True, slots=True)
class Predictions:
    """Everything that figures are computed from. `point` names the operating point in use."""

    point: str
    cases: tuple[Case, ...]
    refused: tuple[Refused, ...] = field(default=())

    @property
    def opacity(self) -> NDArray[np.float64]:
        """Probability of opacity by film."""
        return np.array([case.probabilities[LUNG_OPACITY] for case in self.cases], np.float64)

    @property
    def positive(self) -> NDArray[np.bool_]:
        """Whether the label is lung opacity, by film."""
        return np.array([case.label == LUNG_OPACITY for case in self.cases], bool)

    @property
    def patients(self) -> list[str]:
        """The patient's digest by film."""
        return [case.patient for case in self.cases]

    def called(self, point: str | None = None) -> NDArray[np.bool_]:
        """Whether the probability reaches the threshold of an operating point, by film."""
        name = self.point if point is None else point
        return self.opacity >= np.array([case.thresholds[name] for case in self.cases], np.float64)


def to_boxes(corners: NDArray[np.floating], scores: NDArray[np.floating] | None = None) -> Boxes:
    """Make plain boxes from corners (n, 4) and scores (n,): hundredths of a pixel, six places."""
    rows = np.round(corners.astype(np.float64), 2).tolist()
    if scores is None:
        return tuple(tuple(row) for row in rows)
    sure = np.round(scores.astype(np.float64), 6).tolist()
    return tuple((*row, score) for row, score in zip(rows, sure, strict=True))


def corners_of(boxes: Iterable[Sequence[float]]) -> NDArray[np.float64]:
    """Return the corners (n, 4) of plain boxes."""
    return np.array([box[:4] for box in boxes], np.float64).reshape(-1, 4)


def scores_of(boxes: Iterable[Sequence[float]]) -> NDArray[np.float64]:
    """Return the scores (n,) of predicted boxes."""
    return np.array([box[4] for box in boxes], np.float64)


def age_group(years: float | None) -> str:
    """Return the group of an age, "" where it is unknown or can be no age (below 0, above 100)."""
    if years is None or not 0 <= years <= 100:
        return ""
    for low, high in ((0, 20), (21, 40), (41, 60), (61, 80)):
        if years <= high:
            return f"{low}-{high}"
    return "over 80"
