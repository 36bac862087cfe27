"""A film's grey is measured where the film is."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset

from inference.eligibility import stated
from inference.grey import grey
from inference.pixels import Letterbox
from inference.prepare import Prepared


def test_mean_and_spread_are_those_of_the_film_without_its_margins() -> None:
    """Columns 16 to 47 of 64 hold the film: half of it is 100, half is 140."""
    square = np.zeros((64, 64), np.uint8)
    square[:, 16:32], square[:, 32:48] = 100, 140
    letterbox = Letterbox(64 / 1000, 64 / 1000, 16, 0, 64)
    film = Prepared(square, letterbox, 1000, 500, "1.2", stated(Dataset()))
    found = grey(film)
    assert (found.mean, found.spread) == pytest.approx((120, 20))
