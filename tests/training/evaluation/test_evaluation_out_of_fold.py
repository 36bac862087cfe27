"""What is chosen after training is chosen on other films than those it is judged by, and kept."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference.kept import read_kept, write_kept
from inference.manifest import Metric
from tests.training.evaluation.judged import films
from training.evaluation import out_of_fold
from training.evaluation.choice import Choice, Judged
from training.evaluation.figures import key_figures
from training.evaluation.out_of_fold import judged_of, keep, outputs_of, pseudonym
from training.fit import Outputs


def measure(judged: Judged) -> dict[str, Metric]:
    """Key figures with few bootstrap samples."""
    return key_figures(out_of_fold.out_of_fold(judged, draws=60))


def test_no_fold_is_judged_by_what_was_chosen_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    judged = films()
    seen: list[set[int]] = []
    honest = out_of_fold.choose

    def watched(given: Judged) -> Choice:
        seen.append(set(given.folds.tolist()))
        return honest(given)

    monkeypatch.setattr(out_of_fold, "choose", watched)
    measure(judged)
    assert sorted(map(sorted, seen)) == [[0, 1], [0, 2], [1, 2]]


def test_good_outputs_measure_well_and_better_than_constant_boxes() -> None:
    found = measure(films(150, sharpness=6.0))
    assert found["opacity_auc"].value > 0.97
    assert found["accuracy_3_classes"].value > 0.95
    assert found["challenge_score"].value > 0.6
    assert found["challenge_score_constant_boxes"].value < found["challenge_score"].value / 2
    assert found["view_only_auc"].low < 0.5 < found["view_only_auc"].high


def test_labels_that_mean_nothing_measure_like_chance() -> None:
    judged = films(200)
    shuffled = np.random.default_rng(0).permutation(judged.labels)
    found = measure(replace(judged, labels=shuffled))
    assert found["opacity_auc"].low < 0.5 < found["opacity_auc"].high


def test_boxes_count_only_on_films_called_positive() -> None:
    # Every film has a perfect box and no opacity: whatever is called positive scores 0, the rest
    # is left out.
    judged = films(90)
    judged = replace(judged, truth=[np.zeros((0, 4), np.float32)] * 90)
    assert measure(judged)["challenge_score"].value == 0.0


def kept_of(judged: Judged, **more: Any) -> out_of_fold.OutOfFold:
    names = [f"film {k}" for k in range(len(judged.labels))]
    return keep(names, judged.folds, judged.outputs, judged.size, **more)


def test_what_is_kept_measures_the_same_without_the_films(tmp_path: Path) -> None:
    judged = films(45)
    kept = kept_of(
        judged,
        labels=judged.labels,
        truth=judged.truth,
        patients=judged.patients,
        views=judged.views,
        sources=["rsna"] * 45,
    )
    trained = replace(judged, outputs=outputs_of(kept))
    write_kept(tmp_path / "kept.npz", kept)
    again = judged_of(read_kept(tmp_path / "kept.npz"), "rsna")
    assert measure(again) == measure(trained)


def test_kept_outputs_lose_only_what_cannot_count() -> None:
    judged = films()
    found = outputs_of(kept_of(judged))
    assert np.array_equal(found.logits, judged.outputs.logits)
    assert np.abs(found.boxes - judged.outputs.boxes).max() <= 0.05  # half precision below 128
    assert np.abs(found.scores - judged.outputs.scores).max() < 1e-3
    said = judged.outputs
    faint = Outputs(said.logits, said.boxes, said.scores * 0.1)
    cut = outputs_of(kept_of(replace(judged, outputs=faint)))
    assert cut.scores.shape[1] == 1  # 0.06 stays, 0.005 goes


def test_films_of_one_source_are_taken_and_unknown_boxes_stay_unknown() -> None:
    judged = films(6)
    truth = [None if k < 2 else t for k, t in enumerate(judged.truth)]
    kept = kept_of(
        judged,
        labels=judged.labels,
        truth=truth,
        patients=judged.patients,
        sources=["nih"] * 2 + ["rsna"] * 4,
    )
    nih, rsna = judged_of(kept, "nih"), judged_of(kept, "rsna")
    assert nih.truth == [None, None]
    assert np.array_equal(rsna.labels, judged.labels[2:])
    for found, wanted in zip(rsna.truth, truth[2:], strict=True):
        assert found is not None
        assert wanted is not None
        assert np.allclose(found, wanted)
    assert rsna.films[0] == pseudonym("film", "film 2")


def test_labels_that_were_not_kept_are_missed() -> None:
    with pytest.raises(ValueError, match="labels were not kept"):
        judged_of(kept_of(films(6)))


def test_no_id_is_kept() -> None:
    kept = kept_of(films(4), labels=[0] * 4, truth=[None] * 4, patients=["Smith"] * 4)
    assert kept.known is not None
    stored = [getattr(part, f.name) for part in (kept, kept.known) for f in fields(part)]
    text = " ".join(str(array.tolist()) for array in stored if isinstance(array, np.ndarray))
    assert "Smith" not in text
    assert "film 1" not in text


def test_one_fold_cannot_be_judged() -> None:
    judged = films(6)
    with pytest.raises(ValueError, match="two folds"):
        measure(replace(judged, folds=np.zeros(6, np.intp)))
