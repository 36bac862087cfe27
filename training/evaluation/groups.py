"""Subgroups: the view first, as it goes along with disease in this data; then sex and age."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.manifest import Metric
from training import metrics
from training.evaluation.case import Case, Predictions
from training.evaluation.delong import auc_interval

LEAST = 10
"""Films of each class that a group must have for its figures to be shown."""
_KINDS: tuple[tuple[str, Callable[[Case], str]], ...] = (
    ("view", lambda case: case.view),
    ("sex", lambda case: case.sex),
    ("age", lambda case: case.age),
)


@dataclass(frozen=True, slots=True)
class Group:
    """Films that share a trait. `metrics` is empty where the group is too small to be shown."""

    kind: str
    name: str
    films: int
    positives: int
    metrics: Mapping[str, Metric]


def groups(predictions: Predictions, scores: NDArray[np.float64], draws: int) -> tuple[Group, ...]:
    """Return the groups by view, sex and age; `scores` are the challenge's, by film.

    Groups with fewer than `LEAST` films of either class get no figures, and where a trait is known
    of no film it gives no group.
    """
    found = []
    for kind, trait in _KINDS:
        names = [trait(case) for case in predictions.cases]
        for name in sorted(set(names), key=lambda name: (name == "", name == "over 80", name)):
            if set(names) != {""}:
                at = np.nonzero(np.array(names, np.str_) == name)[0]
                found.append(_group(kind, name or "unknown", predictions, at, scores, draws))
    return tuple(found)


def _group(
    kind: str,
    name: str,
    predictions: Predictions,
    at: NDArray[np.intp],
    scores: NDArray[np.float64],
    draws: int,
) -> Group:
    truth, called = predictions.positive[at], predictions.called()[at]
    opacity, boxes = predictions.opacity[at], scores[at]
    patients = [predictions.cases[i].patient for i in at.tolist()]
    positives = int(truth.sum())
    if min(positives, len(at) - positives) < LEAST:
        return Group(kind, name, len(at), positives, {})

    def rate(of: NDArray[np.bool_], what: str) -> Metric:
        rows = np.nonzero(of)[0]
        right = (called == truth)[rows]
        return metrics.proportion(right, [patients[k] for k in rows.tolist()], what, draws=draws)

    measured = {
        "opacity_auc": auc_interval(opacity, truth, patients, "AUC, lung opacity against the rest"),
        "sensitivity": rate(truth, "sensitivity at the operating point in use"),
        "specificity": rate(~truth, "specificity at the operating point in use"),
    }
    if not np.isnan(boxes).all():
        measured["challenge_score"] = metrics.with_interval(
            lambda i: metrics.mean_score(boxes[i]), patients, "RSNA challenge metric", draws=draws
        )
    return Group(kind, name, len(at), positives, measured)
