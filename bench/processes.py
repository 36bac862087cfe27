"""Processes of a benchmark that have all started before the clock runs."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.pool import Pool

_MOMENT_SECONDS = 0.5


@contextmanager
def started(count: int) -> Iterator[tuple[Pool, float]]:
    """Start so many processes; yields them, and when they shall begin (`time.time`)."""
    with multiprocessing.get_context("spawn").Pool(count) as pool:
        # Each takes one of these, which last long enough for nobody to take two.
        pool.map(time.sleep, [_MOMENT_SECONDS] * count, chunksize=1)
        yield pool, time.time() + _MOMENT_SECONDS
