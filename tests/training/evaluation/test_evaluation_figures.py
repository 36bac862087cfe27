"""Figures, subgroups and controls from cases made by hand; all of it again from the CSV."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.training.evaluation.cases import BOX, case, predictions
from tests.training.evaluation.judged import films
from training.evaluation.case import Predictions, Refused, age_group
from training.evaluation.figures import evaluate, key_figures
from training.evaluation.out_of_fold import predictions_of
from training.evaluation.table import (
    COLUMNS,
    PredictionsError,
    read_predictions,
    write_predictions,
)

FEW = 40
"""Bootstrap samples: enough where the interval itself does not matter."""


def four() -> Predictions:
    """Two opacities, one called, with a perfect box; two others, one called."""
    return predictions(
        case(0, 0.9, 2, drawn=((*BOX, 0.8),), candidates=((*BOX, 0.8),), view="AP"),
        case(1, 0.3, 2),
        case(2, 0.6, 0, drawn=((*BOX, 0.4),), candidates=((*BOX, 0.4),)),
        case(3, 0.1, 1),
    )


def test_figures_by_hand() -> None:
    told = evaluate(four(), draws=FEW)
    found = {name: metric.value for name, metric in told.metrics.items()}
    assert found["opacity_auc"] == 0.75
    assert found["opacity_auc_delong"] == 0.75
    assert found["opacity_against_normal_auc"] == 0.5
    assert found["sensitivity"] == 0.5
    assert found["specificity"] == 0.5
    assert found["challenge_score"] == pytest.approx(1 / 3, abs=1e-4)  # 1, 0, 0; one left out
    assert found["brier"] == pytest.approx((0.01 + 0.49 + 0.36 + 0.01) / 4)
    assert found["probability_minus_prevalence"] == pytest.approx(-0.025)
    assert told.challenge == {t: pytest.approx(1 / 3, abs=1e-4) for t in told.challenge}
    assert told.froc[0.125].value == 0.5
    assert found["froc_1"] == 0.5


def test_operating_points_tell_what_they_give_here() -> None:
    told = {point.name: point for point in evaluate(four(), draws=FEW).points}
    assert set(told) == {"youden", "sensitivity_95", "specificity_90"}
    sensitive = told["sensitivity_95"]  # .2: calls .9, .3 and .6
    assert (sensitive.sensitivity.value, sensitive.specificity.value) == (1.0, 0.5)
    assert sensitive.positive_predictive_value.value == pytest.approx(2 / 3, abs=1e-4)
    assert sensitive.negative_predictive_value.value == 1.0
    assert told["specificity_90"].specificity.value == 1.0


def test_small_groups_are_suppressed_and_views_stand_first() -> None:
    rng = np.random.default_rng(0)
    cases = [
        case(k, float(rng.random()), 2 * (k % 2), view="AP" if k < 40 else "PA", sex="M")
        for k in range(50)
    ]
    told = evaluate(predictions(*cases), draws=FEW)
    kinds = [(group.kind, group.name, group.films, group.positives) for group in told.groups]
    assert kinds == [
        ("view", "AP", 40, 20),
        ("view", "PA", 10, 5),
        ("sex", "M", 50, 25),
        ("age", "41-60", 50, 25),
    ]
    shown = {group.name: bool(group.metrics) for group in told.groups}
    assert shown == {"AP": True, "PA": False, "M": True, "41-60": True}


def test_controls_that_look_at_no_film() -> None:
    # View and brightness tell everything, the labels dealt anew nothing, the inverted film half.
    cases = [
        case(
            k,
            0.9 if k % 2 else 0.1,
            2 * (k % 2),
            view="AP" if k % 2 else "PA",
            intensity=150.0 if k % 2 else 100.0,
            inverted=0.5,
            constant=((0.0, 0.0, 5.0, 5.0),) if k % 2 else (),
        )
        for k in range(40)
    ]
    found = evaluate(predictions(*cases), draws=FEW).controls
    assert found["view_only_auc"].value == 1.0
    assert found["mean_intensity_only_auc"].value == 1.0
    assert found["inverted_film_auc"].value == 0.5
    assert found["shuffled_labels_auc"].low < 0.5 < found["shuffled_labels_auc"].high
    assert abs(found["shuffled_labels_auc"].value - 0.5) < 0.03
    assert found["challenge_score_constant_boxes"].value == 0.0


def test_controls_that_were_not_measured_are_left_out() -> None:
    found = evaluate(predictions(case(0, 0.9, 2, view=""), case(1, 0.1, 0, view="")), draws=FEW)
    assert {"view_only_auc", "mean_intensity_only_auc", "inverted_film_auc"}.isdisjoint(
        found.controls
    )


def test_box_figures_count_only_films_whose_boxes_are_known() -> None:
    known = evaluate(four(), draws=FEW)
    more = predictions(*four().cases, case(9, 0.95, 2, truth=None, drawn=((*BOX, 0.9),)))
    told = evaluate(more, draws=FEW)
    assert told.metrics["challenge_score"] == known.metrics["challenge_score"]
    assert told.froc == known.froc
    nowhere = evaluate(predictions(case(0, 0.9, 2, truth=None), case(1, 0.1, 0, truth=None)))
    assert "challenge_score" not in nowhere.metrics
    assert (nowhere.froc, nowhere.challenge, nowhere.froc_curve) == ({}, {}, None)


def test_films_of_one_class_give_what_they_can() -> None:
    told = evaluate(predictions(case(0, 0.9, 0), case(1, 0.1, 0)), draws=FEW)
    assert "opacity_auc" not in told.metrics
    assert told.metrics["specificity"].value == 0.5


def test_no_film_is_said_to_be_none() -> None:
    with pytest.raises(ValueError, match="no film was read"):
        evaluate(Predictions("youden", ()))


def test_every_figure_can_be_computed_again_from_the_csv(tmp_path: Path) -> None:
    made = predictions_of(films(60), "rsna")
    refused = (Refused("x" * 32, "y" * 32, "rsna", 1, "view"),)
    made = Predictions(made.point, made.cases, refused)
    write_predictions(tmp_path / "predictions.csv", made)
    read = read_predictions(tmp_path / "predictions.csv")
    assert read == made
    assert key_figures(evaluate(read, draws=FEW)) == key_figures(evaluate(made, draws=FEW))
    assert evaluate(read, draws=FEW).refused == {"view": 1}


def test_a_table_with_a_spoilt_line_is_refused_with_its_number(tmp_path: Path) -> None:
    file = tmp_path / "predictions.csv"
    write_predictions(file, four())
    lines = file.read_text().splitlines()
    lines[2] = lines[2].replace("rsna,lung_opacity", "rsna,unknown")
    file.write_text("\n".join(lines))
    with pytest.raises(PredictionsError, match=r"predictions\.csv: line 3: .*evaluate anew"):
        read_predictions(file)
    file.write_text("film\n1\n")
    with pytest.raises(PredictionsError, match="line 2: 'refused'"):
        read_predictions(file)
    assert "refused" in COLUMNS


@pytest.mark.parametrize(
    ("years", "group"),
    [
        (None, ""),
        (-1, ""),
        (0, "0-20"),
        (20, "0-20"),
        (21, "21-40"),
        (80, "61-80"),
        (81, "over 80"),
        (100, "over 80"),
        (148, ""),
    ],
)
def test_age_groups(years: float | None, group: str) -> None:
    assert age_group(years) == group
