"""Figures of hard labels: the confusion matrix, what follows from it, and what it followed from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Hard = NDArray[np.integer] | NDArray[np.bool_]

COLLAPSED_LOSS = float(np.log(2))
"""Cross-entropy of a network of two classes that says one half whatever it sees: 0.6931."""


class ScoreError(ValueError):
    """Printed figures do not lead to one confusion matrix; the message says which do not fit."""


@dataclass(frozen=True, slots=True)
class ClassScores:
    """Precision, recall and F1 of one class, 0 to 1; `films` is how many are truly of it.

    NaN where it is undefined: the precision of a class that was never called.
    """

    precision: float
    recall: float
    f1: float
    films: int


@dataclass(frozen=True, slots=True)
class Confusion:
    """Films by truth and call, opacity (class 1) being positive."""

    tp: int
    fn: int
    fp: int
    tn: int

    @property
    def films(self) -> int:
        """How many films there are."""
        return self.tp + self.fn + self.fp + self.tn

    @property
    def accuracy(self) -> float:
        """Share of films called rightly."""
        return _ratio(self.tp + self.tn, self.films)

    @property
    def sensitivity(self) -> float:
        """Share of the positive films that are called positive; the recall of class 1."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def specificity(self) -> float:
        """Share of the negative films that are called negative; the recall of class 0."""
        return _ratio(self.tn, self.tn + self.fp)

    @property
    def balanced_accuracy(self) -> float:
        """Mean of sensitivity and specificity: what the report calls "ROC".

        It is the area under the ROC curve of hard labels, which has one corner.
        """
        return (self.sensitivity + self.specificity) / 2

    @property
    def one_class(self) -> int | None:
        """The class that every film was called; None where both were called."""
        if self.tp + self.fp == 0:
            return 0
        return 1 if self.fn + self.tn == 0 else None

    def of_class(self, which: int) -> ClassScores:
        """Precision, recall and F1 of class 0 or 1."""
        hit, missed, wrong = (
            (self.tp, self.fn, self.fp) if which == 1 else (self.tn, self.fp, self.fn)
        )
        return ClassScores(
            precision=_ratio(hit, hit + wrong),
            recall=_ratio(hit, hit + missed),
            f1=_ratio(2 * hit, 2 * hit + missed + wrong),
            films=hit + missed,
        )


def confusion(truth: Hard, called: Hard) -> Confusion:
    """Count films by truth and call, both (n,) of 0 and 1 or of booleans."""
    positive, called_positive = truth.astype(bool), called.astype(bool)
    return Confusion(
        tp=int((positive & called_positive).sum()),
        fn=int((positive & ~called_positive).sum()),
        fp=int((~positive & called_positive).sum()),
        tn=int((~positive & ~called_positive).sum()),
    )


def cross_entropy(truth: Hard, probability: NDArray[np.floating]) -> float:
    """Mean cross-entropy of the probability of class 1, clipped by 1e-7 as Keras does it."""
    p = np.clip(probability.astype(np.float64), 1e-7, 1 - 1e-7)
    return float(-np.log(np.where(truth.astype(bool), p, 1 - p)).mean())


def from_printed(
    *, accuracy: float, precision: float, recall: float, films: tuple[int, int], unit: float = 1e-4
) -> Confusion:
    """Derive the one confusion matrix that printed figures of class 1 can have come from.

    Args:
        accuracy: As printed.
        precision: Of class 1, as printed.
        recall: Of class 1, as printed.
        films: How many films there are of class 0 and of class 1.
        unit: One of the last digit printed. A figure may have been rounded or cut off, so it lies
            within less than one unit of the true one.

    Raises:
        ScoreError: no matrix fits, or more than one does.
    """
    negatives, positives = films
    tp, tn = np.meshgrid(np.arange(positives + 1), np.arange(negatives + 1), indexing="ij")
    called = tp + negatives - tn
    fits = (
        _printed_as((tp + tn) / (positives + negatives), accuracy, unit)
        & _printed_as(tp / positives, recall, unit)
        & _printed_as(tp / np.maximum(called, 1), precision, unit)
    )
    found = np.argwhere(fits)
    if len(found) != 1:
        raise ScoreError(
            f"{len(found)} confusion matrices of {negatives} + {positives} films fit accuracy"
            f" {accuracy}, precision {precision} and recall {recall}; one is needed"
        )
    hits, right = (int(count) for count in found[0])
    return Confusion(tp=hits, fn=positives - hits, fp=negatives - right, tn=right)


def precision_at(sensitivity: float, specificity: float, prevalence: float) -> float:
    """Positive predictive value where `prevalence` of the films are positive (Bayes' rule)."""
    hits = sensitivity * prevalence
    return _ratio(hits, hits + (1 - specificity) * (1 - prevalence))


def _printed_as(value: NDArray[np.float64], printed: float, unit: float) -> NDArray[np.bool_]:
    return np.abs(value - printed) < unit * (1 - 1e-9)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
