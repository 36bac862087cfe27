"""Folds that keep each patient together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def patient_folds(
    patients: Sequence[str], labels: Sequence[int], count: int, *, seed: int
) -> NDArray[np.intp]:
    """Give every film a fold, 0 to count - 1, with all films of a patient in one.

    Patients are dealt in a seeded order, those with most films first, each to the fold that has
    fewest films of its classes; so folds come out even in size and classes.
    """
    kinds = max(labels) + 1
    counts: dict[str, NDArray[np.intp]] = defaultdict(lambda: np.zeros(kinds, np.intp))
    for patient, label in zip(patients, labels, strict=True):
        counts[patient][label] += 1
    rng = np.random.default_rng(seed)
    order = rng.permutation(np.array(sorted(counts)))
    order = order[np.argsort([-counts[patient].sum() for patient in order], kind="stable")]
    total = np.sum(list(counts.values()), axis=0).clip(1)
    held = np.zeros((count, kinds))
    fold_of: dict[str, int] = {}
    for patient in order:
        fuller = ((held + counts[patient]) / total) ** 2
        before = (held / total) ** 2
        fold = int((fuller - before).sum(axis=1).argmin())
        fold_of[patient] = fold
        held[fold] += counts[patient]
    return np.array([fold_of[patient] for patient in patients], dtype=np.intp)
