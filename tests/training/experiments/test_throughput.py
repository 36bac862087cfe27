"""Input is measured by a clock, way by way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tiny
from experiments_kaggle import write_folder
from pydicom import dcmread

from training.experiments.overrides import Overrides, apply
from training.experiments.spec import find
from training.experiments.throughput import plain_loop, throughput
from training.kaggle.folder import open_folder


@pytest.fixture(autouse=True)
def tiny_networks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        tiny.use(patch)
        yield


def test_films_are_counted_over_the_seconds_that_the_clock_says(tmp_path: Path) -> None:
    films = open_folder(write_folder(tmp_path, 30, side=48)).films()
    spec = apply(find("base-model_3"), Overrides(films=30, size=32, batch=6))
    ticks = iter(range(10_000))
    found = throughput(spec, films, steps=3, clock=lambda: float(next(ticks)))
    assert found.films == 30
    # One tick between two looks at the clock: 30 films read and decoded in one each, 3 batches
    # of 6 taken in one; of each step one tick waits and one works.
    assert (found.plain, found.first_epoch, found.later_epochs) == (30, 30, 18)
    assert (found.network, found.training, found.waited) == (6, 3, 0.5)


def test_the_plain_loop_reads_the_film_as_it_is(tmp_path: Path) -> None:
    films = open_folder(write_folder(tmp_path, 2, side=48)).films()
    pixels = dcmread(films[0].path).pixel_array
    assert (plain_loop(films[0].path, 48) == np.repeat(pixels[..., None], 3, axis=2)).all()


def test_boxes_are_not_measured() -> None:
    with pytest.raises(ValueError, match="boxes-mobilenet: input is measured with classifiers"):
        throughput(find("boxes-mobilenet"), [])
