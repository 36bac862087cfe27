"""No patient is on both sides of a fold, and folds are alike."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from training.splits import patient_folds
from training.tables import read_kaggle, read_nih

DATA = Path(os.environ.get("HILUM_REAL_DATA", Path(__file__).parents[3] / "shared" / "data"))


def some(seed: int) -> tuple[list[str], list[int]]:
    rng = np.random.default_rng(seed)
    patients = [f"p{rng.integers(90)}" for _ in range(400)]
    return patients, rng.integers(3, size=400).tolist()


def assert_patients_whole(patients: list[str], folds: np.ndarray) -> None:
    seen: dict[str, set[int]] = defaultdict(set)
    for patient, fold in zip(patients, folds.tolist(), strict=True):
        seen[patient].add(fold)
    assert all(len(where) == 1 for where in seen.values())


@pytest.mark.parametrize("seed", range(5))
def test_a_patient_is_in_one_fold(seed: int) -> None:
    patients, labels = some(seed)
    folds = patient_folds(patients, labels, 5, seed=seed)
    assert sorted(set(folds.tolist())) == [0, 1, 2, 3, 4]
    assert_patients_whole(patients, folds)


def test_folds_are_even_in_size_and_classes() -> None:
    patients, labels = some(0)
    folds = patient_folds(patients, labels, 5, seed=0)
    table = np.zeros((5, 3))
    np.add.at(table, (folds, labels), 1)
    expected = np.bincount(labels) / 5
    assert (np.abs(table - expected) <= 0.25 * expected).all()


def test_the_seed_decides_and_nothing_else() -> None:
    patients, labels = some(1)
    first = patient_folds(patients, labels, 5, seed=1)
    assert (first == patient_folds(patients, labels, 5, seed=1)).all()
    assert (first != patient_folds(patients, labels, 5, seed=2)).any()


@pytest.mark.skipif(not (DATA / "rsna_mini").is_dir(), reason=f"no real films in {DATA}")
def test_real_patients_stay_whole_over_both_folders() -> None:
    films = read_kaggle(DATA / "rsna_mini") + read_nih(DATA / "nih_frontal")
    patients = [film.patient for film in films]
    shared = {f.patient for f in films if f.source == "rsna"} & {
        f.patient for f in films if f.source == "nih"
    }
    assert shared  # else this test would show nothing
    assert_patients_whole(patients, patient_folds(patients, [f.label for f in films], 5, seed=0))
