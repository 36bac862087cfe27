"""What is measured on a survey equals what a hand reckons."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.training.kaggle.surveys import survey_of
from training.kaggle import measures
from training.kaggle.measures import Share
from training.kaggle.survey import years

BOX = (100.0, 100.0, 50.0, 50.0)
OTHER = (300.0, 100.0, 50.0, 50.0)


def test_the_naive_merge_squares_the_rows_of_each_film() -> None:
    survey = survey_of([(0, ()), (2, (BOX,)), (2, (BOX, OTHER)), (2, (BOX, OTHER, BOX))])
    merged = measures.naive_merge(survey)
    assert merged.rows == 1 + 1 + 4 + 9
    # The last film's rows are two different ones, so two of its nine are left.
    assert (merged.left, merged.duplicates) == (1 + 1 + 2 + 2, 9)


@pytest.mark.parametrize(
    ("age", "bin_"),
    [
        (0, "1–20"),
        (20, "1–20"),
        (20.5, "21–40"),
        (21, "21–40"),
        (40, "21–40"),
        (60, "41–60"),
        (80, "61–80"),
        (81, "81–100"),
        (100, "81–100"),
        (101, ">100"),
        (155, ">100"),
        (math.nan, "unknown"),
    ],
)
def test_ages_fall_into_the_reports_bins(age: float, bin_: str) -> None:
    assert measures.age_bin(np.array([age]))[0] == bin_


@pytest.mark.parametrize(
    ("text", "age"),
    [("43", 43), ("043Y", 43), ("018M", 1.5), ("026W", 0.498), (" 7 ", 7), ("155", 155)],
)
def test_ages_are_read_with_and_without_their_unit(text: str, age: float) -> None:
    assert years(text) == pytest.approx(age, abs=0.001)


@pytest.mark.parametrize("text", ["", None, "old", "-3", "1234", "043X"])
def test_what_is_no_age_is_unknown(text: str | None) -> None:
    assert math.isnan(years(text))


def test_association_is_one_where_groups_tell_the_class_and_zero_where_they_do_not() -> None:
    assert measures.cramers_v(np.array([[10, 0], [0, 30]])) == pytest.approx(1)
    assert measures.cramers_v(np.array([[10, 20], [5, 10]])) == pytest.approx(0)
    # chi2 = 40 * (10 * 15 - 10 * 5)^2 / (20 * 20 * 15 * 25) = 8 / 3
    assert measures.cramers_v(np.array([[10, 10], [5, 15]])) == pytest.approx(math.sqrt(8 / 3 / 40))
    assert math.isnan(measures.cramers_v(np.array([[10, 10], [0, 0]])))


def test_a_share_has_wilsons_interval() -> None:
    low, high = Share(10, 50).interval
    assert (low, high) == pytest.approx((0.1124, 0.3304), abs=1e-4)
    assert Share(0, 5).interval[0] == pytest.approx(0, abs=1e-12)
    assert math.isnan(Share(0, 0).value)


def test_the_constant_box_is_the_box_that_all_films_have() -> None:
    survey = survey_of([(2, ((313.0, 291.0, 222.0, 317.0),))] * 5)
    box, iou = measures.constant_box(survey.boxes)
    assert box == (313, 291, 222, 317)
    assert iou == pytest.approx(1)


def test_mean_iou_of_a_box_that_overlaps_one_of_two_by_half() -> None:
    survey = survey_of([(2, (BOX,)), (2, (OTHER,))])
    # Half of BOX and as much beside it: 1250 / (2500 + 2500 - 1250).
    assert measures.mean_iou(survey.boxes, (125, 100, 50, 50)) == pytest.approx(1 / 3 / 2)


def test_precision_at_another_prevalence_follows_bayes() -> None:
    assert measures.precision_at(506 / 600, 445 / 600, 0.5) == pytest.approx(506 / (506 + 155))
    assert measures.precision_at(506 / 600, 445 / 600, 0.225) == pytest.approx(0.487, abs=0.001)


def test_correlation_leaves_unknown_values_out() -> None:
    a = np.array([1.0, 2, 3, np.nan, 100])
    b = np.array([2.0, 4, 6, 8, np.nan])
    assert measures.correlation(a, b) == pytest.approx(1)
    assert math.isnan(measures.correlation(a, np.ones(5)))


def test_a_patient_on_both_sides_of_a_split_is_seen() -> None:
    survey = survey_of([(0, ())] * 100)
    films = survey.films
    assert measures.shared_patients(films).of == 0  # nobody's patient is known
    alone = _with_patients(survey_of([(0, ())] * 100).films, [f"{n:08d}" for n in range(100)])
    assert measures.shared_patients(alone).value == 0
    same = _with_patients(films, ["00000001"] * 100)
    assert measures.shared_patients(same).value == 1
    assert measures.shared_patients(same, per_target=20).of == 4  # a fifth of the 20 negatives


def _with_patients(films: measures.Films, patients: list[str]) -> measures.Films:
    from dataclasses import replace

    return replace(films, patient=np.array(patients))
