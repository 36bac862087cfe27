"""What is chosen after training, and how well the whole then does, on out-of-fold outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from inference.bundle import Metric, OperatingPoint, Suppression
from inference.predict import softmax
from inference.suppression import suppress
from training import metrics
from training.fit import Outputs
from training.tables import LUNG_OPACITY

Corners = NDArray[np.float32]
Drawn = list[tuple[Corners, NDArray[np.float32]]]

OPERATING_POINT = "youden"
"""The operating point in use: greatest sensitivity + specificity (Youden 1950)."""
_RULES = [
    Suppression(score=s, iou=i, relative_score=0.5, most=4, shrink=k, times_opacity=True)
    for s, i, k in product(
        (0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.12, 0.15), (0.1, 0.3), (1.0, 0.9375, 0.875)
    )
]


@dataclass(frozen=True, slots=True)
class Judged:
    """Films with what the network gave for them when it had not seen their patients.

    `truth` holds each film's boxes (m, 4) x0, y0, x1, y1 in input pixels; `folds` which network,
    0 to k - 1, gave the outputs; `views` the View Position.
    """

    outputs: Outputs
    labels: NDArray[np.int32]
    truth: Sequence[Corners]
    patients: Sequence[str]
    folds: NDArray[np.intp]
    views: Sequence[str]
    size: int

    def take(self, which: NDArray[np.intp] | NDArray[np.bool_]) -> Judged:
        """Return the films that `which` picks."""
        at = np.arange(len(self.labels))[which]
        out = self.outputs
        return replace(
            self,
            outputs=Outputs(out.logits[at], out.boxes[at], out.scores[at]),
            labels=self.labels[at],
            truth=[self.truth[i] for i in at],
            patients=[self.patients[i] for i in at],
            folds=self.folds[at],
            views=[self.views[i] for i in at],
        )


@dataclass(frozen=True, slots=True)
class Choice:
    """What is set after training: see `inference.bundle.Manifest`."""

    temperature: float
    operating_points: dict[str, OperatingPoint]
    boxes: Suppression

    @property
    def threshold(self) -> float:
        """The threshold in use."""
        return self.operating_points[OPERATING_POINT].threshold


def choose(films: Judged) -> Choice:
    """Choose temperature, operating points and box rule on the given films."""
    temperature = _temperature(films.outputs.logits, films.labels)
    opacity = softmax(films.outputs.logits / np.float32(temperature))[:, LUNG_OPACITY]
    points = operating_points(opacity, films.labels == LUNG_OPACITY)
    threshold = points[OPERATING_POINT].threshold
    scored = [
        metrics.mean_score(
            metrics.challenge_scores(_draw(films, opacity, threshold, rule), films.truth)
        )
        for rule in _RULES
    ]
    return Choice(temperature, points, _RULES[int(np.nan_to_num(scored, nan=-1).argmax())])


def film_scores(films: Judged, choice: Choice) -> NDArray[np.float64]:
    """The challenge metric of every film with the boxes that the choice gives; NaN: left out."""
    opacity = softmax(films.outputs.logits / np.float32(choice.temperature))[:, LUNG_OPACITY]
    return metrics.challenge_scores(
        _draw(films, opacity, choice.threshold, choice.boxes), films.truth
    )


def operating_points(
    opacity: NDArray[np.float64], truth: NDArray[np.bool_]
) -> dict[str, OperatingPoint]:
    """Return the points "youden", "sensitivity_95" and "specificity_90"; positive is >=."""
    candidates = np.unique(np.concatenate([opacity, [0.0, 1.0]]))
    thresholds = np.round((candidates[:-1] + candidates[1:]) / 2, 4)
    called = opacity[None, :] >= thresholds[:, None]
    sensitivity = (called & truth).sum(axis=1) / max(truth.sum(), 1)
    specificity = (~called & ~truth).sum(axis=1) / max((~truth).sum(), 1)
    picks = {
        "youden": int((sensitivity + specificity).argmax()),
        "sensitivity_95": int(np.nonzero(sensitivity >= 0.95)[0].max()),
        "specificity_90": int(np.nonzero(specificity >= 0.90)[0].min()),
    }
    return {
        name: OperatingPoint(
            float(thresholds[k]), round(float(sensitivity[k]), 4), round(float(specificity[k]), 4)
        )
        for name, k in picks.items()
    }


def measure(films: Judged) -> dict[str, Metric]:
    """Measure everything with intervals, each fold with what was chosen on the other folds."""
    opacity = np.zeros(len(films.labels))
    called = np.zeros(len(films.labels), bool)
    drawn: Drawn = [(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))] * len(films.labels)
    constant = list(drawn)
    for fold in np.unique(films.folds):
        here = np.nonzero(films.folds == fold)[0]
        choice = choose(films.take(films.folds != fold))
        held = films.take(here)
        found = softmax(held.outputs.logits / np.float32(choice.temperature))[:, LUNG_OPACITY]
        opacity[here], called[here] = found, found >= choice.threshold
        boxes = _draw(held, found, choice.threshold, choice.boxes)
        usual = _usual_boxes(films.take(films.folds != fold))
        for place, i in enumerate(here):
            drawn[i] = boxes[place]
            if called[i]:
                constant[i] = (usual, np.ones(len(usual), np.float32))
    return _metrics(films, opacity, called, drawn, constant)


def _metrics(
    films: Judged,
    opacity: NDArray[np.float64],
    called: NDArray[np.bool_],
    drawn: Drawn,
    constant: Drawn,
) -> dict[str, Metric]:
    truth = films.labels == LUNG_OPACITY
    guess = films.outputs.logits.argmax(axis=1)
    ours = metrics.challenge_scores(drawn, films.truth)
    usual = metrics.challenge_scores(constant, films.truth)
    ap = np.array([view == "AP" for view in films.views])
    patients = films.patients

    def auc(mask: NDArray[np.bool_], of: str) -> Metric:
        at = np.nonzero(mask)[0]
        return metrics.with_interval(
            lambda i: metrics.auc(opacity[at[i]], truth[at[i]]), [patients[int(k)] for k in at], of
        )

    def mean(values: NDArray[np.floating] | NDArray[np.bool_], of: str) -> Metric:
        return metrics.with_interval(lambda i: float(values[i].mean()), patients, of)

    def rate(mask: NDArray[np.bool_], of: str) -> Metric:
        at = np.nonzero(mask)[0]
        right = (called == truth)[at]
        return metrics.with_interval(
            lambda i: float(right[i].mean()), [patients[int(k)] for k in at], of
        )

    everyone = np.ones(len(truth), bool)
    found = {
        "opacity_auc": auc(everyone, "AUC, lung opacity against the rest"),
        "opacity_auc_ap": auc(ap, "the same, AP films alone"),
        "opacity_auc_pa": auc(~ap, "the same, other (PA) films alone"),
        "view_only_auc": metrics.with_interval(
            lambda i: metrics.auc(ap[i].astype(np.float64), truth[i]),
            patients,
            "shortcut control: AUC of the view alone (AP counts as opacity)",
        ),
        "accuracy_3_classes": mean(guess == films.labels, "accuracy over the three classes"),
        "sensitivity": rate(truth, "sensitivity at the operating point in use"),
        "specificity": rate(~truth, "specificity at the operating point in use"),
        "challenge_score": metrics.with_interval(
            lambda i: metrics.mean_score(ours[i]),
            patients,
            "RSNA challenge metric, IoU > 0.40 … > 0.75, boxes as the service draws them",
        ),
        "challenge_score_constant_boxes": metrics.with_interval(
            lambda i: metrics.mean_score(usual[i]),
            patients,
            "the same films called positive, but the two median boxes in place of the box head",
        ),
        "expected_calibration_error": metrics.with_interval(
            lambda i: metrics.expected_calibration_error(opacity[i], truth[i]),
            patients,
            "expected calibration error of the probability of opacity, 10 bins",
        ),
        "brier": metrics.with_interval(
            lambda i: metrics.brier(opacity[i], truth[i]), patients, "Brier score of the same"
        ),
    }
    return {name: metric for name, metric in found.items() if np.isfinite(metric.value)}


def _temperature(logits: NDArray[np.float32], labels: NDArray[np.int32]) -> float:
    """The temperature of least cross-entropy (Guo et al. 2017), to 1 %."""
    rows = np.arange(len(labels))
    grid = np.geomspace(0.2, 10, 400)
    losses = [-np.log(softmax(logits / np.float32(t))[rows, labels] + 1e-12).mean() for t in grid]
    return round(float(grid[int(np.argmin(losses))]), 4)


def _draw(
    films: Judged, opacity: NDArray[np.float64], threshold: float, rule: Suppression
) -> Drawn:
    """Boxes as the service gives them: none below the operating point."""
    nothing = (np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
    out = films.outputs
    return [
        suppress(out.boxes[i], out.scores[i], float(p), rule) if p >= threshold else nothing
        for i, p in enumerate(opacity)
    ]


def _usual_boxes(films: Judged) -> Corners:
    """The median box of each half of the film, of those that `films` has."""
    boxes = np.concatenate([*films.truth, np.zeros((0, 4), np.float32)])
    right = boxes[:, [0, 2]].mean(axis=1) < films.size / 2
    halves = [np.median(half, axis=0) for half in (boxes[right], boxes[~right]) if len(half)]
    return np.array(halves, np.float32).reshape(-1, 4)
