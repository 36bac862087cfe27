"""Histograms: packed, added and asked, by numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from db.sums.histograms import LATENCY_RATIO, PROBABILITY, SECONDS, at_or_above, coarser, quantile


def test_a_histogram_is_the_same_after_packing() -> None:
    packed = PROBABILITY.pack([0.0, 0.5, 0.5004, 1.0])
    counts = PROBABILITY.unpack([packed])
    assert {int(each): int(counts[each]) for each in np.flatnonzero(counts)} == {
        0: 1,
        500: 2,
        1000: 1,
    }


def test_packed_histograms_add_up_whichever_way() -> None:
    first, second = PROBABILITY.pack([0.1, 0.2]), PROBABILITY.pack([0.2, 0.9])
    together = PROBABILITY.unpack([first, second, ""])
    assert np.array_equal(together, PROBABILITY.unpack([PROBABILITY.add([first, "", second])]))
    assert np.array_equal(together, PROBABILITY.unpack([PROBABILITY.pack([0.1, 0.2, 0.2, 0.9])]))
    assert PROBABILITY.add(["", ""]) == PROBABILITY.pack([]) == ""


@pytest.mark.parametrize("thousandths", range(0, 1001, 7))
def test_a_probability_on_a_threshold_is_at_it_whatever_floats_do(thousandths: int) -> None:
    """0.57 * 1000 is 569.999… in floats: the bin must still be the 570th."""
    threshold = thousandths / 1000
    below = float(np.nextafter(threshold, -1))
    counts = PROBABILITY.unpack([PROBABILITY.pack([threshold])])
    assert at_or_above(counts, threshold) == 1
    if thousandths:
        assert at_or_above(PROBABILITY.unpack([PROBABILITY.pack([below])]), threshold) == 0


def test_quantiles_are_those_of_the_nearest_rank_to_one_percent() -> None:
    """Of 1, 2, … 200 s: the 100th, the 190th and the 198th in order."""
    counts = SECONDS.unpack([SECONDS.pack([float(second) for second in range(1, 201)])])
    for part, exact in ((0.5, 100), (0.95, 190), (0.99, 198)):
        assert quantile(counts, part) == pytest.approx(exact, rel=LATENCY_RATIO - 1)


def test_quantiles_of_one_time_and_of_none() -> None:
    assert quantile(SECONDS.unpack([]), 0.5) is None
    one = SECONDS.unpack([SECONDS.pack([7.0])])
    assert {quantile(one, part) for part in (0.01, 0.5, 0.99)} == {quantile(one, 0.5)}
    assert quantile(SECONDS.unpack([SECONDS.pack([0.001])]), 0.5) == 0.0
    early = SECONDS.unpack([SECONDS.pack([-3.0])])  # a clock was set back
    assert early.sum() == 1
    late = SECONDS.unpack([SECONDS.pack([1e12])])
    assert late.sum() == 1


def test_bins_are_joined() -> None:
    assert coarser(np.array([1, 2, 3, 4]), [1, 3]).tolist() == [1, 5, 4]
