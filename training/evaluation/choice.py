"""What is chosen after training on out-of-fold outputs: calibration, operating points, box rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from inference.calibration import Calibration, softmax
from inference.manifest import OperatingPoint, Suppression
from inference.suppression import suppress
from training import metrics
from training.tables import LUNG_OPACITY

Corners = NDArray[np.float32]
Drawn = list[tuple[Corners, NDArray[np.float32]]]

OPERATING_POINT = "youden"
"""The operating point in use: greatest sensitivity + specificity (Youden 1950)."""
NOTHING = (np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
"""No boxes and no scores."""
_NEWTON_STEPS = 50
_RIDGE = 1e-4
_MOST_TEMPERATURE = 20.0
_MOST = 4
_SCORES = (0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.12, 0.15, 0.2, 0.25)
_RELATIVE_SCORES = (0.5, 0.7)
_VOTES = (1.0, 0.4)
_TYPICAL_WEIGHTS = (0.0, 0.5, 1.0)


class Outputs(Protocol):
    """What a network gives for n films: `logits` (n, 3), `boxes` (n, m, 4), `scores` (n, m)."""

    @property
    def logits(self) -> NDArray[np.float32]:
        """Before calibration, in the order of `bundle.CLASSES`."""

    @property
    def boxes(self) -> NDArray[np.float32]:
        """Candidates x0, y0, x1, y1 in input pixels; those without area count for nothing."""

    @property
    def scores(self) -> NDArray[np.float32]:
        """The detector's, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Outputs as plain arrays."""

    logits: NDArray[np.float32]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Judged:
    """Films with what the network gave for them when it had not seen their patients.

    `truth` holds each film's boxes (m, 4) x0, y0, x1, y1 in input pixels, None where nobody looked
    for them; `folds` which network, 0 to k - 1, gave the outputs; `views` the View Position. May be
    left empty: `films`, digests that name the films; `sexes` M or F; `ages` age groups;
    `intensity`, the mean of each film's input pixels.
    """

    outputs: Outputs
    labels: NDArray[np.int32]
    truth: Sequence[Corners | None]
    patients: Sequence[str]
    folds: NDArray[np.intp]
    views: Sequence[str]
    size: int
    films: Sequence[str] = ()
    sexes: Sequence[str] = ()
    ages: Sequence[str] = ()
    intensity: Sequence[float] = ()

    def take(self, which: NDArray[np.intp] | NDArray[np.bool_]) -> Judged:
        """Return the films that `which` picks."""
        at = np.arange(len(self.labels))[which]
        out = self.outputs
        return replace(
            self,
            outputs=Rows(out.logits[at], out.boxes[at], out.scores[at]),
            labels=self.labels[at],
            truth=[self.truth[i] for i in at],
            patients=[self.patients[i] for i in at],
            folds=self.folds[at],
            views=[self.views[i] for i in at],
            films=[self.films[i] for i in at if self.films],
            sexes=[self.sexes[i] for i in at if self.sexes],
            ages=[self.ages[i] for i in at if self.ages],
            intensity=[self.intensity[i] for i in at if len(self.intensity)],
        )


@dataclass(frozen=True, slots=True)
class Choice:
    """What is set after training: see `inference.manifest.Manifest`."""

    calibration: Calibration
    operating_points: dict[str, OperatingPoint]
    boxes: Suppression

    @property
    def threshold(self) -> float:
        """The threshold in use."""
        return self.operating_points[OPERATING_POINT].threshold


def choose(films: Judged) -> Choice:
    """Choose calibration, operating points and box rule on the given films."""
    calibration = calibrate(films.outputs.logits, films.labels)
    opacity = calibration(films.outputs.logits)[:, LUNG_OPACITY]
    points = operating_points(opacity, films.labels == LUNG_OPACITY)
    threshold = points[OPERATING_POINT].threshold
    boxed = np.array([truth is not None for truth in films.truth], bool)
    return Choice(calibration, points, _box_rule(films.take(boxed), opacity[boxed], threshold))


def _box_rule(films: Judged, opacity: NDArray[np.float64], threshold: float) -> Suppression:
    """Return the rule with the best challenge metric, of all that are tried."""
    truth = [each for each in films.truth if each is not None]
    boxes = np.concatenate([*truth, np.zeros((0, 4), np.float32)])
    width, height = np.median(boxes[:, 2:] - boxes[:, :2], axis=0) if len(boxes) else (1.0, 1.0)
    best, best_score = None, -1.0
    for vote, weight in product(_VOTES, _TYPICAL_WEIGHTS):
        shape = Suppression(
            score=0.0,
            iou=0.1,
            relative_score=0.0,
            most=_MOST,
            shrink=1.0,
            times_opacity=True,
            vote=vote,
            typical=(round(float(width), 1), round(float(height), 1)),
            typical_weight=weight,
        )
        # Thresholds take away the weakest boxes and change nothing about the others.
        drawn = draw(films, opacity, threshold, shape)
        for least, relative in product(_SCORES, _RELATIVE_SCORES):
            left = [_at_least(*each, least, relative) for each in drawn]
            score = metrics.mean_score(metrics.challenge_scores(left, truth))
            if best is None or score > best_score:
                best = replace(shape, score=least, relative_score=relative)
                best_score = score
    assert best is not None
    return best


def _at_least(
    corners: Corners, scores: NDArray[np.float32], least: float, relative: float
) -> tuple[Corners, NDArray[np.float32]]:
    kept = (scores >= least) & (scores >= relative * scores.max(initial=0))
    return corners[kept], scores[kept]


def film_scores(films: Judged, choice: Choice) -> NDArray[np.float64]:
    """The challenge metric of every film with the boxes that the choice gives; NaN: left out.

    Films whose boxes nobody looked for are left out too.
    """
    opacity = choice.calibration(films.outputs.logits)[:, LUNG_OPACITY]
    drawn = draw(films, opacity, choice.threshold, choice.boxes)
    scores = metrics.challenge_scores(
        drawn, [np.zeros((0, 4), np.float32) if each is None else each for each in films.truth]
    )
    scores[[each is None for each in films.truth]] = np.nan
    return scores


def operating_points(
    opacity: NDArray[np.float64], truth: NDArray[np.bool_]
) -> dict[str, OperatingPoint]:
    """Return the points "youden", "sensitivity_95" and "specificity_90"; positive is >=."""
    candidates = np.unique(np.concatenate([opacity, [0.0, 1.0]]))
    thresholds = np.round((candidates[:-1] + candidates[1:]) / 2, 4)
    positives, negatives = np.sort(opacity[truth]), np.sort(opacity[~truth])
    missed = np.searchsorted(positives, thresholds, side="left")
    sensitivity = (len(positives) - missed) / max(len(positives), 1)
    specificity = np.searchsorted(negatives, thresholds, side="left") / max(len(negatives), 1)
    picks = {
        "youden": int((sensitivity + specificity).argmax()),
        "sensitivity_95": int(np.nonzero(sensitivity >= 0.95)[0].max(initial=0)),
        "specificity_90": int(np.nonzero(specificity >= 0.90)[0].min(initial=len(thresholds) - 1)),
    }
    return {
        name: OperatingPoint(
            float(thresholds[k]), round(float(sensitivity[k]), 4), round(float(specificity[k]), 4)
        )
        for name, k in picks.items()
    }


def draw(films: Judged, opacity: NDArray[np.float64], threshold: float, rule: Suppression) -> Drawn:
    """Boxes as the service gives them: none below the operating point."""
    out = films.outputs
    return [
        suppress(out.boxes[i], out.scores[i], float(p), rule) if p >= threshold else NOTHING
        for i, p in enumerate(opacity)
    ]


def usual_boxes(truth: Sequence[Corners | None], width: float) -> Corners:
    """The median box of each half of the film, of those that `truth` has; `width` is the film's."""
    known = [each for each in truth if each is not None]
    boxes = np.concatenate([*known, np.zeros((0, 4), np.float32)])
    right = boxes[:, [0, 2]].mean(axis=1) < width / 2
    halves = [np.median(half, axis=0) for half in (boxes[right], boxes[~right]) if len(half)]
    return np.array(halves, np.float32).reshape(-1, 4)


def calibrate(logits: NDArray[np.float32], labels: NDArray[np.int32]) -> Calibration:
    """Choose temperature and biases of least cross-entropy, by Newton's method.

    The cross-entropy is convex in 1 / temperature and the biases. A little is asked for both to
    stay near 1 and 0, so that there is a least one also where classes are told apart without error
    or one is missing; the first class's bias is 0.
    """
    z = logits.astype(np.float64)
    truth = np.eye(3)[labels]
    slopes = np.stack([z, *(np.broadcast_to(np.eye(3)[k], z.shape) for k in (1, 2))])
    start = np.array([1.0, 0.0, 0.0])
    at = start.copy()
    for _ in range(_NEWTON_STEPS):
        q = softmax(np.tensordot(at, slopes, axes=1))
        gradient = ((q - truth) * slopes).sum(axis=2).mean(axis=1) + _RIDGE * (at - start)
        centred = slopes - (q * slopes).sum(axis=2, keepdims=True)
        hessian = np.einsum("nk,ink,jnk->ij", q, centred, centred) / len(z) + _RIDGE * np.eye(3)
        step = np.linalg.solve(hessian, gradient)
        at -= step / max(1.0, float(np.abs(step).max()))
        at[0] = max(at[0], 1 / _MOST_TEMPERATURE)
    return Calibration(
        round(float(1 / at[0]), 4), (0.0, round(float(at[1]), 4), round(float(at[2]), 4))
    )
