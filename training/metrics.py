"""Figures of merit: AUC, the RSNA challenge's metric, calibration, intervals over patients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from inference.manifest import Metric
from inference.suppression import iou

CHALLENGE_THRESHOLDS = tuple(step / 20 for step in range(8, 16))
"""0.40, 0.45 … 0.75."""

Floats = NDArray[np.floating]


def auc(scores: Floats, truth: NDArray[np.bool_]) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties half."""
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if positives == 0 or negatives == 0:
        return float("nan")
    above = midranks(scores)[truth].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def midranks(values: Floats) -> NDArray[np.float64]:
    """Ranks from 1 on, those of equal values averaged."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[which], np.float64)


def average_precision(scores: Floats, truth: NDArray[np.bool_]) -> float:
    """Area under the precision-recall curve as a sum of steps; equal scores are one step."""
    if not truth.any():
        return float("nan")
    _, precision, recall = precision_recall(scores, truth)
    return float((np.diff(recall, prepend=0.0) * precision).sum())


def precision_recall(
    scores: Floats, truth: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Thresholds, falling, with precision and recall of what scores at least as much."""
    thresholds, which = np.unique(scores, return_inverse=True)
    called = np.cumsum(np.bincount(which)[::-1])
    found = np.cumsum(np.bincount(which, weights=truth)[::-1])
    return thresholds[::-1].astype(np.float64), found / called, found / max(truth.sum(), 1)


def challenge_scores(
    predicted: Sequence[tuple[Floats, Floats]], truth: Sequence[Floats]
) -> NDArray[np.float64]:
    """The RSNA Pneumonia Detection Challenge's metric, film by film.

    Args:
        predicted: Per film, boxes (n, 4) x0, y0, x1, y1 and their confidences (n,).
        truth: Per film, the true boxes (m, 4).

    Returns:
        (films,) the mean over the IoU thresholds of TP / (TP + FP + FN). NaN for a film with
        neither truth nor prediction, which the mean leaves out; 0 for a film without truth on
        which anything was predicted. A prediction, by falling confidence, takes the free true box
        that it overlaps most, if their IoU is greater than the threshold: ">", as the challenge's
        text says ("greater than 0.5"), so an IoU of exactly 0.40 is no hit.
    """
    return np.asarray(challenge_table(predicted, truth).mean(axis=1))


def challenge_table(
    predicted: Sequence[tuple[Floats, Floats]], truth: Sequence[Floats]
) -> NDArray[np.float64]:
    """`challenge_scores` before the mean over the thresholds: (films, thresholds)."""
    rows = [_film(*p, t) for p, t in zip(predicted, truth, strict=True)]
    return np.array(rows, np.float64).reshape(-1, len(CHALLENGE_THRESHOLDS))


def mean_score(scores: NDArray[np.float64]) -> float:
    """Mean over the films that count (see `challenge_scores`); NaN where none does."""
    counted = scores[~np.isnan(scores)]
    return float(counted.mean()) if len(counted) else float("nan")


def expected_calibration_error(
    probability: Floats, truth: NDArray[np.bool_], bins: int = 10, *, equal_mass: bool = False
) -> float:
    """Mean gap between probability and frequency over bins, weighted by films.

    Bins are equally wide, or with `equal_mass` hold equally many films each.
    """
    if equal_mass:
        parts = np.array_split(np.argsort(probability, kind="stable"), bins)
    else:
        which = np.minimum((probability * bins).astype(int), bins - 1)
        parts = [np.nonzero(which == k)[0] for k in range(bins)]
    gaps = [
        abs(probability[part].mean() - truth[part].mean()) * len(part)
        for part in parts
        if len(part)
    ]
    return float(sum(gaps) / len(truth))


def brier(probability: Floats, truth: NDArray[np.bool_]) -> float:
    """Mean squared gap between probability and outcome."""
    return float(((probability - truth) ** 2).mean())


def with_interval(
    measure: Callable[[NDArray[np.intp]], float],
    patients: Sequence[str],
    of: str,
    *,
    seed: int = 0,
    draws: int = 1000,
    debias: bool = False,
) -> Metric:
    """Measure on all films, with the 95 % percentile interval of a bootstrap over patients.

    `measure` takes the indices of the films to use, with repetitions; a draw on which it gives NaN
    is left out. The interval always holds the value: it is widened to it where it does not.

    `debias` is for figures that noise can only make greater, such as calibration error: a draw adds
    noise to that of the films themselves, so the draws' mean lies above the value. They are moved
    back by that distance, and not below 0.
    """
    whole = measure(np.arange(len(patients)))
    drawn = np.array([measure(films) for films in resample(patients, draws, seed)], np.float64)
    counted = drawn[~np.isnan(drawn)]
    if not len(counted) or np.isnan(whole):
        return Metric(value=whole, low=float("nan"), high=float("nan"), of=of)
    if debias:
        counted = (counted - max(counted.mean() - whole, 0.0)).clip(0)
    low, high = np.percentile(counted, [2.5, 97.5])
    return rounded(whole, float(low), float(high), of)


def proportion(
    right: NDArray[np.bool_], patients: Sequence[str], of: str, *, draws: int = 1000
) -> Metric:
    """Share of films that are right, with its interval over patients; NaN of no films.

    Where all films are right or all wrong, no draw differs from another: the interval is then
    Wilson's (1927) for as many films as there are patients.
    """
    if not len(right):
        return Metric(value=float("nan"), low=float("nan"), high=float("nan"), of=of)
    if right.all() or not right.any():
        value = float(right[0])
        return rounded(value, *wilson(value, len(set(patients))), of)
    return with_interval(lambda i: float(right[i].mean()), patients, of, draws=draws)


def wilson(share: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a share of `count` films that know nothing of each other."""
    z = 1.959963984540054
    centre = share + z * z / (2 * count)
    reach = z * float(np.sqrt(share * (1 - share) / count + z * z / (4 * count * count)))
    scale = 1 + z * z / count
    return max((centre - reach) / scale, 0.0), min((centre + reach) / scale, 1.0)


def resample(patients: Sequence[str], draws: int, seed: int) -> Iterator[NDArray[np.intp]]:
    """Yield `draws` bootstrap samples: the indices of all films of patients drawn with return.

    Patients count in the order in which they first appear, so their names do not matter.
    """
    numbers: dict[str, int] = {}
    which = np.array([numbers.setdefault(name, len(numbers)) for name in patients], np.intp)
    order, counts = np.argsort(which, kind="stable"), np.bincount(which)
    starts = np.cumsum(counts) - counts
    rng = np.random.default_rng(seed)
    for _ in range(draws):
        drawn = rng.integers(len(counts), size=len(counts))
        films = counts[drawn]
        within = np.arange(films.sum()) - np.repeat(np.cumsum(films) - films, films)
        yield order[np.repeat(starts[drawn], films) + within]


def rounded(value: float, low: float, high: float, of: str) -> Metric:
    """A metric to four places, its interval widened to the value where it does not hold it."""
    return Metric(
        value=round(value, 4),
        low=round(min(low, value), 4),
        high=round(max(high, value), 4),
        of=of,
    )


def hits(boxes: Floats, confidence: Floats, truth: Floats, threshold: float) -> NDArray[np.bool_]:
    """Which of the boxes (n, 4) hit one of the true boxes (m, 4), by the challenge's rule: (n,)."""
    hit = np.zeros(len(boxes), bool)
    if len(boxes) and len(truth):
        order = np.argsort(-confidence, kind="stable")
        hit[order] = _hits(iou(boxes, truth)[order], threshold)
    return hit


def _film(boxes: Floats, confidence: Floats, truth: Floats) -> list[float]:
    if len(boxes) == 0 and len(truth) == 0:
        return [float("nan")] * len(CHALLENGE_THRESHOLDS)
    if len(boxes) == 0 or len(truth) == 0:
        return [0.0] * len(CHALLENGE_THRESHOLDS)
    overlaps = iou(boxes, truth)[np.argsort(-confidence, kind="stable")]
    found = [int(_hits(overlaps, t).sum()) for t in CHALLENGE_THRESHOLDS]
    return [count / (len(boxes) + len(truth) - count) for count in found]


def _hits(overlaps: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
    """Whether each prediction, in rows by falling confidence, hits a true box that is free."""
    free = np.ones(overlaps.shape[1], bool)
    hit = np.zeros(len(overlaps), bool)
    for k, row in enumerate(overlaps):
        best = int(np.where(free, row, -1).argmax())
        if free[best] and row[best] > threshold:
            free[best], hit[k] = False, True
    return hit
