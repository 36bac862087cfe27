"""What is counted and measured on a survey. Pure: the figures, tables and claims show it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.kaggle.folder import LabelRow
from training.kaggle.survey import Boxes, Films, Floats, Indices, Survey

AGE_BINS = ("1–20", "21–40", "41–60", "61–80", "81–100", ">100")
"""The report's bins of age, in years; the first takes in everyone below 1, too."""

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Merge:
    """What joining the two label files on patientId makes."""

    rows: int
    duplicates: int

    @property
    def left(self) -> int:
        """Rows left when duplicates are dropped."""
        return self.rows - self.duplicates


@dataclass(frozen=True, slots=True)
class Share:
    """A share of films, with its 95 % interval (Wilson 1927)."""

    count: int
    of: int

    @property
    def value(self) -> float:
        """The share, 0 to 1; NaN of nothing."""
        return self.count / self.of if self.of else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper bound."""
        if not self.of:
            return math.nan, math.nan
        z = 1.959964
        middle = (self.value + z * z / (2 * self.of)) / (1 + z * z / self.of)
        spread = self.value * (1 - self.value) / self.of + z * z / (4 * self.of * self.of)
        half = z * math.sqrt(spread) / (1 + z * z / self.of)
        return middle - half, middle + half


def naive_merge(survey: Survey) -> Merge:
    """Join both label files on patientId, as the report did, and count the duplicate rows.

    A film with n rows in each file gets n x n rows, for each file repeats it once per box.
    """
    labels: dict[str, list[LabelRow]] = defaultdict(list)
    classes: dict[str, list[str]] = defaultdict(list)
    for row in survey.label_rows:
        labels[row.patient_id].append(row)
    for patient_id, name in survey.class_rows:
        classes[patient_id].append(name)
    both = labels.keys() & classes.keys()
    rows = sum(len(labels[film]) * len(classes[film]) for film in both)
    distinct = sum(len(set(labels[film])) * len(set(classes[film])) for film in both)
    return Merge(rows, rows - distinct)


def age_bin(age: Floats) -> NDArray[np.str_]:
    """Each age's bin, `UNKNOWN` where there is none."""
    bins = np.array([*AGE_BINS, UNKNOWN])
    at = np.searchsorted((20, 40, 60, 80, 100), np.ceil(np.nan_to_num(age)), side="left")
    return bins[np.where(np.isfinite(age), at, len(AGE_BINS))]


def group_names(groups: NDArray[np.str_], order: Sequence[str] = ()) -> list[str]:
    """Name the groups that occur: those of `order` first, others after them, unknown last."""
    found = {str(group) for group in np.unique(groups)}
    others = sorted(found - {*order, UNKNOWN})
    return [name for name in (*order, *others, UNKNOWN) if name in found]


def positive_share(films: Films, chosen: NDArray[np.bool_]) -> Share:
    """Give the share of the chosen films that are positive."""
    return Share(int(films.target[chosen].sum()), int(chosen.sum()))


def cross(groups: NDArray[np.str_], names: Sequence[str], label: Indices, kinds: int) -> Indices:
    """Count films by group (rows) and label (columns)."""
    counts = np.zeros((len(names), kinds), np.intp)
    for row, name in enumerate(names):
        counts[row] = np.bincount(label[groups == name], minlength=kinds)
    return counts


def cramers_v(counts: Indices) -> float:
    """Association of rows and columns, 0 (none) to 1 (Cramér 1946); NaN for a single group."""
    counts = counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0]
    if min(counts.shape) < 2:
        return math.nan
    total = counts.sum()
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / total
    chi2 = float(((counts - expected) ** 2 / expected).sum())
    return math.sqrt(chi2 / (total * (min(counts.shape) - 1)))


def correlation(a: Floats, b: Floats) -> float:
    """Pearson's r over the elements where both are known; NaN where one of them is constant."""
    known = np.isfinite(a) & np.isfinite(b)
    a, b = a[known], b[known]
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return math.nan
    return float(np.corrcoef(a, b)[0, 1])


def boxes_per_film(survey: Survey) -> Indices:
    """Each film's number of boxes."""
    return np.bincount(survey.boxes.film, minlength=len(survey.films))


def constant_box(boxes: Boxes) -> tuple[tuple[int, int, int, int], float]:
    """Find the one box x, y, width, height (pixels) with the highest mean IoU with all boxes.

    A coarse grid, then its edges moved one by one, by steps that halve down to one pixel.
    """
    grid = [
        (x, y, w, h)
        for x in range(100, 700, 100)
        for y in range(100, 700, 100)
        for w in (150, 250, 350)
        for h in (200, 350, 500)
    ]
    best = max(grid, key=lambda box: mean_iou(boxes, box))
    score, step = mean_iou(boxes, best), 32
    while step:
        found = max(_moved_edges(best, step), key=lambda box: mean_iou(boxes, box))
        if mean_iou(boxes, found) > score:
            best, score = found, mean_iou(boxes, found)
        else:
            step //= 2
    return best, score


def mean_iou(boxes: Boxes, box: Sequence[float]) -> float:
    """Mean intersection over union of one box with all boxes."""
    x, y, width, height = box
    across = np.minimum(boxes.x + boxes.width, x + width) - np.maximum(boxes.x, x)
    down = np.minimum(boxes.y + boxes.height, y + height) - np.maximum(boxes.y, y)
    common = np.clip(across, 0, None) * np.clip(down, 0, None)
    return float((common / (boxes.area + width * height - common)).mean())


def shared_patients(
    films: Films, *, per_target: int | None = None, seed: int = 0, test_share: float = 0.2
) -> Share:
    """Share of test films whose NIH patient is in training too, after one random split.

    `per_target` films of each target are drawn first, as the report did; None: all are split.
    """
    rng = np.random.default_rng(seed)
    chosen = np.flatnonzero(films.patient != "")
    if per_target is not None:
        drawn = [rng.permutation(chosen[films.target[chosen] == t])[:per_target] for t in (0, 1)]
        chosen = np.concatenate(drawn)
    known = films.patient[chosen]
    order = rng.permutation(len(known))
    test = np.zeros(len(known), bool)
    test[order[: round(test_share * len(known))]] = True
    return Share(int(np.isin(known[test], known[~test]).sum()), int(test.sum()))


def precision_at(sensitivity: float, specificity: float, prevalence: float) -> float:
    """Precision at another share of positives than the one it was measured at (Bayes)."""
    hit, false = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    return hit / (hit + false)


def _moved_edges(box: tuple[int, int, int, int], step: int) -> list[tuple[int, int, int, int]]:
    x, y, width, height = box
    moved = []
    for by in (-step, step):
        moved += [(x + by, y, width - by, height), (x, y, width + by, height)]
        moved += [(x, y + by, width, height - by), (x, y, width, height + by)]
    return [each for each in moved if each[2] > 0 and each[3] > 0]
