"""Which readings make their study go first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from inference.bundle import Bundle
from inference.manifest import OperatingPoint
from inference.reading import Finding, Probabilities, Reading
from inference.urgency import is_urgent, unknown_point
from settings import Priority
from tests.inference.bundles import small_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    made = small_bundle(tmp_path / "bundle", input_size=64)
    points = {
        "balanced": OperatingPoint(0.5, 0.7, 0.7),
        "specific": OperatingPoint(0.8, 0.4, 0.9),
    }
    return replace(made, operating_point="balanced", operating_points=points)


def said(pneumonia: float, finding: Finding = Finding.OPACITY) -> Reading:
    rest = (1 - pneumonia) / 2
    probabilities = Probabilities(rest, rest, pneumonia)
    return Reading(100, 80, probabilities, pneumonia, (), finding, 0.5, "test 1")


@pytest.mark.parametrize(
    ("point", "pneumonia", "urgent"),
    [
        (None, 0.5, True),
        ("balanced", 0.5, True),
        ("specific", 0.79, False),
        ("specific", 0.8, True),
        (0.6, 0.59, False),
        (0.6, 0.6, True),
        ("unheard of", 0.5, True),
    ],
)
def test_a_positive_is_urgent_from_the_configured_point_on(
    bundle: Bundle, point: str | float | None, pneumonia: float, urgent: bool
) -> None:
    assert is_urgent(said(pneumonia), bundle, Priority(operating_point=point)) == urgent


def test_what_is_not_positive_is_never_urgent(bundle: Bundle) -> None:
    for finding in (Finding.NORMAL, Finding.ABNORMAL):
        assert not is_urgent(said(0.49, finding), bundle, Priority(operating_point=0.1))


def test_nothing_is_urgent_where_that_is_switched_off(bundle: Bundle) -> None:
    assert not is_urgent(said(0.99), bundle, Priority(positive_first=False))


def test_a_point_is_adjusted_to_the_sites_prevalence_as_the_reading_is(bundle: Bundle) -> None:
    site = replace(bundle, prevalence=0.3, site_prevalence=0.05)
    shift = site.prior_shift
    assert shift is not None
    rule = Priority(operating_point="specific")
    assert is_urgent(said(shift(0.81)), site, rule)
    assert not is_urgent(said(shift(0.79)), site, rule)


def test_a_point_that_the_bundle_lacks_is_named_with_those_that_it_has(bundle: Bundle) -> None:
    problem = unknown_point(bundle, Priority(operating_point="fast"))
    assert problem is not None
    assert "no operating point 'fast'" in problem
    assert "balanced, specific" in problem
    for point in (None, "balanced", 0.3):
        assert unknown_point(bundle, Priority(operating_point=point)) is None
    assert unknown_point(bundle, Priority(positive_first=False, operating_point="fast")) is None
