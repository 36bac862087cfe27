"""Variance of AUCs without drawing: DeLong et al. 1988, for films in patients Obuchowski 1997."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import erfc, isnan, sqrt

import numpy as np
from numpy.typing import NDArray

from inference.manifest import Metric
from training.metrics import midranks, rounded

Floats = NDArray[np.floating]
_Z = 1.959963984540054
"""The normal distribution's 97.5 % point."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How far one AUC lies above another on the same films; `p` is two-sided."""

    difference: Metric
    p: float


def auc_interval(
    scores: Floats, truth: NDArray[np.bool_], patients: Sequence[str], of: str
) -> Metric:
    """AUC with DeLong's 95 % interval; NaN where a class is missing.

    Where a class has one patient alone its variance is unknown, and the interval 0 to 1.
    """
    aucs, covariance = auc_covariance([scores], truth, patients)
    value = float(aucs[0])
    if isnan(value):
        return Metric(value=value, low=float("nan"), high=float("nan"), of=of)
    variance = float(covariance[0, 0])
    reach = 1.0 if isnan(variance) else _Z * sqrt(max(variance, 0.0))
    return rounded(value, max(value - reach, 0.0), min(value + reach, 1.0), of)


def auc_difference(
    first: Floats, second: Floats, truth: NDArray[np.bool_], patients: Sequence[str], of: str
) -> Difference:
    """How far the AUC of `first` lies above that of `second`, with DeLong's interval and test.

    Where a class has one patient alone, nothing is known: the interval is -1 to 1 and `p` 1.
    """
    aucs, covariance = auc_covariance([first, second], truth, patients)
    value = float(aucs[0] - aucs[1])
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    if isnan(value):
        return Difference(Metric(value=value, low=float("nan"), high=float("nan"), of=of), 1.0)
    if isnan(variance):
        return Difference(rounded(value, -1.0, 1.0, of), 1.0)
    error = sqrt(max(variance, 0.0))
    p = erfc(abs(value) / error / sqrt(2)) if error > 1e-12 else float(abs(value) < 1e-12)
    return Difference(rounded(value, value - _Z * error, value + _Z * error, of), p)


def auc_covariance(
    scores: Sequence[Floats], truth: NDArray[np.bool_], patients: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """AUCs (k,) of k scores for the same films, and their covariance (k, k).

    Films of one patient count as one cluster (Obuchowski 1997, formula 4); where every patient has
    one film this is DeLong's covariance. NaN where a class has fewer than two patients.
    """
    numbers: dict[str, int] = {}
    cluster = np.array([numbers.setdefault(name, len(numbers)) for name in patients], np.intp)
    m, n, k = int(truth.sum()), int((~truth).sum()), len(scores)
    sick, well = np.unique(cluster[truth]), np.unique(cluster[~truth])
    if m == 0 or n == 0:
        return np.full(k, np.nan), np.full((k, k), np.nan)
    above = np.zeros((k, len(numbers)))
    below = np.zeros((k, len(numbers)))
    aucs = np.zeros(k)
    for row, each in enumerate(scores):
        ranks = midranks(each)
        beaten = (ranks[truth] - midranks(each[truth])) / n
        beating = 1 - (ranks[~truth] - midranks(each[~truth])) / m
        aucs[row] = beaten.mean()
        np.add.at(above[row], cluster[truth], beaten - aucs[row])
        np.add.at(below[row], cluster[~truth], beating - aucs[row])
    if len(sick) < 2 or len(well) < 2:
        return aucs, np.full((k, k), np.nan)
    s10 = above @ above.T * len(sick) / ((len(sick) - 1) * m)
    s01 = below @ below.T * len(well) / ((len(well) - 1) * n)
    s11 = (above @ below.T + below @ above.T) / 2 * len(numbers) / max(len(numbers) - 1, 1)
    return aucs, s10 / m + s01 / n + 2 * s11 / (m * n)
