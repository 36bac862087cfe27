"""Two bundles on the same films: DeLong for AUCs, a paired bootstrap for the challenge metric."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.manifest import Metric
from training import metrics
from training.evaluation.case import Case, Predictions, corners_of, scores_of
from training.evaluation.delong import Difference, auc_difference


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far a bundle lies above `other` on the `films` that both read.

    `auc` and `other_auc` are the AUCs of opacity against the rest; `challenge` is None where no
    boxes are known.
    """

    other: str
    films: int
    auc: float
    other_auc: float
    difference: Difference
    challenge: Metric | None


def compare(ours: Predictions, theirs: Predictions, other: str, *, draws: int) -> Comparison:
    """Compare predictions, film by film, on the films that are in both.

    Raises:
        ValueError: they have no film in common.
    """
    there = {case.film: case for case in theirs.cases}
    pairs = [(case, there[case.film]) for case in ours.cases if case.film in there]
    if not pairs:
        raise ValueError(f"{other} has predictions for none of these films; evaluate it on them")
    first = Predictions(ours.point, tuple(a for a, _ in pairs))
    second = Predictions(theirs.point, tuple(b for _, b in pairs))
    boxed = [(a, b) for a, b in pairs if a.truth is not None and b.truth is not None]
    challenge = None
    if any(a.truth for a, _ in boxed):
        mine, yours = _scores([a for a, _ in boxed]), _scores([b for _, b in boxed])
        challenge = metrics.with_interval(
            lambda i: metrics.mean_score(mine[i]) - metrics.mean_score(yours[i]),
            [a.patient for a, _ in boxed],
            "difference of the challenge metric, paired bootstrap over patients",
            draws=draws,
        )
    return Comparison(
        other=other,
        films=len(pairs),
        auc=round(metrics.auc(first.opacity, first.positive), 4),
        other_auc=round(metrics.auc(second.opacity, first.positive), 4),
        difference=auc_difference(
            first.opacity,
            second.opacity,
            first.positive,
            first.patients,
            "difference of the AUC, lung opacity against the rest, by DeLong",
        ),
        challenge=challenge,
    )


def _scores(cases: list[Case]) -> NDArray[np.float64]:
    return metrics.challenge_scores(
        [(corners_of(case.drawn), scores_of(case.drawn)) for case in cases],
        [corners_of(case.truth or ()) for case in cases],
    )
