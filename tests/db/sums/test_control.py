"""Control charts and shifts, by numbers worked out by hand."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from db.sums.control import Step, deviation, mean_chart, share_chart, shift, wilson

START = datetime(2024, 3, 4, tzinfo=UTC)


def steps(*values: tuple[int, float | None]) -> list[Step]:
    """Steps of a day with so many films and such a value each."""
    return [
        Step(START + timedelta(days=day), films, value) for day, (films, value) in enumerate(values)
    ]


def test_limits_of_a_share_are_three_binomial_standard_deviations_from_the_centre() -> None:
    """Centre 0.2: of 100 films sqrt(0.2 * 0.8 / 100) is 0.04, so limits are 0.08 and 0.32."""
    chart = share_chart(
        steps((300, 0.25), (300, 0.15)), steps((100, 0.31), (100, 0.33), (400, 0.27))
    )
    assert chart is not None
    assert chart.centre == pytest.approx(0.2)
    assert chart.scatter == 1.0  # two steps tell nothing of it
    first, second, third = chart.points
    assert (first.low, first.high) == pytest.approx((0.08, 0.32))
    assert (third.low, third.high) == pytest.approx((0.14, 0.26))
    assert chart.outside == [second, third]


def test_a_share_below_its_limit_is_outside_too() -> None:
    chart = share_chart(steps((1000, 0.2)), steps((100, 0.07), (100, 0.09)))
    assert chart is not None
    assert [point.outside for point in chart.points] == [True, False]


def test_few_films_are_not_judged() -> None:
    """At a centre of 0.1, five positives are expected of 50 films; 49 are too few."""
    chart = share_chart(steps((1000, 0.1)), steps((49, 0.9), (50, 0.9), (0, None)))
    assert chart is not None
    assert [point.judged for point in chart.points] == [False, True, False]
    assert [point.outside for point in chart.points] == [False, True, False]


def test_steps_that_scatter_more_than_chance_widen_the_limits() -> None:
    """Laney: by turns 0.1 and 0.3 of 400: scores -5 and 5, ranges of 10; 10 / 1.128 is 8.865."""
    before = steps(*[(400, 0.1), (400, 0.3)] * 4)
    chart = share_chart(before, steps((400, 0.35)))
    assert chart is not None
    assert chart.scatter == pytest.approx(10 / 1.128)
    (point,) = chart.points
    assert point.high == pytest.approx(0.2 + 3 * 0.02 * 10 / 1.128)
    assert not point.outside
    even = share_chart(steps(*[(400, 0.2)] * 8), steps((400, 0.35)))
    assert even is not None
    assert even.scatter == 1.0
    assert even.points[0].outside


def test_without_anything_before_there_is_no_chart() -> None:
    assert share_chart([], steps((10, 0.5))) is None
    assert share_chart(steps((0, None)), steps((10, 0.5))) is None
    assert mean_chart([], steps((10, 100.0)), 5.0) is None


def test_limits_of_a_mean() -> None:
    """Films scatter by 10: the mean of 25 by 2, so limits are 6 above and below the centre."""
    chart = mean_chart(
        steps((50, 118.0), (50, 122.0)), steps((25, 125.9), (25, 126.1), (4, 200)), 10
    )
    assert chart is not None
    assert (chart.points[0].low, chart.points[0].high) == pytest.approx((114, 126))
    assert [point.outside for point in chart.points] == [False, True, False]


def test_a_deviation_from_sums() -> None:
    """Of 2, 4, 4, 4, 5, 5, 7, 9 it is 2."""
    values = [2, 4, 4, 4, 5, 5, 7, 9]
    assert deviation(8, sum(values), sum(each**2 for each in values)) == pytest.approx(2)
    assert deviation(0, 0, 0) == 0


def test_wilsons_interval() -> None:
    """10 of 50: (0.2 + 1.9208 / 50 -+ 1.96 sqrt(0.16 / 50 + 0.9604 / 2500)) / (1 + 3.8416 / 50)."""
    low, high = wilson(10, 50)
    assert (low, high) == pytest.approx((0.11244, 0.33037), abs=1e-5)
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(0, 10)[0] == 0.0


def test_the_population_stability_index_of_two_bins() -> None:
    """Before 50 : 50, now 70 : 30, with half a film each: p 0.5, q 70.5 / 101.

    (q - p) ln(q / p) + (p - q) ln((1 - q) / p) = 0.19802 * (ln 1.39604 - ln 0.60396) = 0.16592.
    """
    found = shift(np.array([50, 50]), np.array([70, 30]))
    assert found is not None
    assert found.psi == pytest.approx(0.16592, abs=1e-5)
    assert found.chance == pytest.approx(9.0 * (1 / 100 + 1 / 100))
    assert not found.is_moderate  # of so few films chance may make this
    many = shift(np.array([5000, 5000]), np.array([7000, 3000]))
    assert many is not None
    assert (many.is_moderate, many.is_large) == (True, False)
    most = shift(np.array([5000, 5000]), np.array([8000, 2000]))
    assert most is not None
    assert most.is_large


def test_many_bins_are_joined_to_tenths_of_those_before() -> None:
    """A thousand films over 100 bins, then all in the lowest tenth."""
    before = np.full(100, 10)
    now = np.zeros(100, dtype=int)
    now[:10] = 100
    found = shift(before, now)
    assert found is not None
    p, low, high = 100.5 / 1005, 1000.5 / 1005, 0.5 / 1005
    expected = (low - p) * math.log(low / p) + 9 * (high - p) * math.log(high / p)
    assert found.psi == pytest.approx(expected)
    same = shift(before, before)
    assert same is not None
    assert same.psi == 0


def test_nothing_is_said_of_a_histogram_that_is_empty_or_of_one_bin() -> None:
    assert shift(np.zeros(5, dtype=int), np.ones(5, dtype=int)) is None
    alone = shift(np.array([0, 9, 0]), np.array([0, 9, 0]))
    assert alone is not None
    assert (alone.psi, alone.is_large) == (0.0, False)


def test_a_chart_is_beyond_chance_where_many_points_are_outside_or_one_is_far_out() -> None:
    """Of 90 days chance makes at least one outside in 22 %, two in 2.5 % of all charts."""
    before = steps((1000, 0.2))
    usual = [(100, 0.2)] * 88
    for last, expected in (
        ([(100, 0.2), (100, 0.33)], False),
        ([(100, 0.33), (100, 0.33)], True),
        ([(100, 0.2), (100, 0.41)], True),  # more than 5 * 0.04 above
        ([(100, 0.2), (100, 0.2)], False),
    ):
        chart = share_chart(before, steps(*usual, *last))
        assert chart is not None
        assert chart.is_beyond_chance is expected
