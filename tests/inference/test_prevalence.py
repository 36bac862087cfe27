"""Probabilities move with the prevalence of a site; what was found at the threshold does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from inference.bundle import Bundle, BundleError, device, for_site, load_bundle
from inference.manifest import OperatingPoint
from inference.pixels import Letterbox
from inference.predict import Raw, reading
from inference.prevalence import PriorShift
from inference.reading import Reading

PLAIN = Letterbox(1.0, 1.0, 0.0, 0.0, 512)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """The packaged bundle as if calibrated where 40 of 100 films show opacity."""
    point = OperatingPoint(0.3, 0.9, 0.8)
    fields = {"prevalence": 0.4, "operating_point": "set", "operating_points": {"set": point}}
    return replace(load_bundle(), **fields)


def read(bundle: Bundle, logits: tuple[float, float, float]) -> Reading:
    boxes = np.array([[10, 10, 90, 90], [200, 200, 300, 320]], np.float32)
    raw = Raw(np.array(logits, np.float32), boxes, np.array([0.95, 0.9], np.float32))
    return reading(raw, PLAIN, 512, 512, bundle)


def test_the_shift_is_bayes_rule_by_counts() -> None:
    """A score seen on 30 of 100 diseased and 10 of 100 healthy films, counted at either mix."""
    at_half = 30 / (30 + 10)
    at_tenth = (30 * 0.1) / (30 * 0.1 + 10 * 0.9)
    assert PriorShift(0.5, 0.1)(at_half) == pytest.approx(at_tenth)
    assert PriorShift(0.1, 0.5)(at_tenth) == pytest.approx(at_half)


def test_the_shift_keeps_certainty_and_order() -> None:
    shift = PriorShift(0.4, 0.02)
    shifted = [shift(p) for p in np.linspace(0, 1, 101).tolist()]
    assert (shifted[0], shifted[-1]) == (0, 1)
    assert shifted == sorted(set(shifted))
    assert PriorShift(0.3, 0.3)(0.7) == pytest.approx(0.7)


@pytest.mark.parametrize("wrong", [0, 1, -0.1, 1.5])
def test_a_prevalence_that_is_none_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        PriorShift(0.4, wrong)
    with pytest.raises(ValueError, match="between 0 and 1"):
        PriorShift(wrong, 0.4)


@pytest.mark.parametrize("site", [0.02, 0.4, 0.9])
@pytest.mark.parametrize("logits", [(0, 0, 9), (0, 1, 1.2), (0, 1, 0.2), (2, 1, -1), (0, 0, -30)])
def test_findings_and_boxes_stay_while_probabilities_move(
    bundle: Bundle, logits: tuple[float, float, float], site: float
) -> None:
    plain, moved = read(bundle, logits), read(for_site(bundle, site), logits)
    assert (moved.finding, moved.boxes) == (plain.finding, plain.boxes)
    assert (moved.pneumonia >= moved.threshold) == (plain.pneumonia >= plain.threshold)
    p, q = plain.probabilities, moved.probabilities
    assert q.normal + q.not_normal + q.lung_opacity == pytest.approx(1)
    assert q.lung_opacity == moved.pneumonia == pytest.approx(PriorShift(0.4, site)(p.lung_opacity))
    assert q.normal / q.not_normal == pytest.approx(p.normal / p.not_normal)


def test_the_mean_probability_comes_out_at_the_sites_prevalence(bundle: Bundle) -> None:
    """Calibrated scores of a mix with 40 % opacity, resampled to 5 %: the mean follows."""
    rng = np.random.default_rng(0)
    opacity = rng.random(400_000) < 0.4
    score = rng.normal(np.where(opacity, 1.0, -1.0))
    calibrated = 1 / (1 + np.exp(-(2 * score + np.log(0.4 / 0.6))))
    kept = np.where(opacity, rng.random(len(score)) < (0.05 / 0.95) * (0.6 / 0.4), True)
    shift = PriorShift(0.4, 0.05)
    assert np.mean([shift(p) for p in calibrated[kept].tolist()]) == pytest.approx(0.05, abs=0.003)


def test_a_bundle_that_does_not_tell_its_prevalence_cannot_be_adjusted() -> None:
    silent = replace(load_bundle(), prevalence=None)
    with pytest.raises(BundleError, match=r"worker\.prevalence: .* unset the key"):
        for_site(silent, 0.05)
    assert for_site(silent, None) == silent


def test_results_of_another_prevalence_are_of_another_device(bundle: Bundle) -> None:
    plain = device(bundle)
    rare, common = device(for_site(bundle, 0.05)), device(for_site(bundle, 0.5))
    assert len({plain.uid, rare.uid, common.uid}) == 3
    assert (plain.prevalence, rare.prevalence) == (None, 0.05)
    assert device(for_site(bundle, 0.05)) == rare
