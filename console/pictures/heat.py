"""Where a bundle's network saw opacity on one film. Runs in a child process."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from inference.bundle import for_site, load_bundle
from inference.outcome import read_film
from inference.predict import Predictor, Raw, Runtime
from inference.prepare import Limits, prepare
from inference.reading import Reading, Refusal

_STRIDE = 16
"""Input pixels a cell, of a map that is made from boxes."""
_NICENESS = 10


@dataclass(frozen=True, slots=True)
class Job:
    """A film, and with what it is read: the bundle's folder, its runtime and CPU threads.

    `prevalence` is the site's, see `inference.bundle.for_site`.
    """

    path: Path
    bundle: Path
    prevalence: float | None
    runtime: Runtime
    threads: int
    limits: Limits


@dataclass(frozen=True, slots=True)
class Heat:
    """A map over a film: `cells` (rows, columns), 0 to 255 for 0 to 1.

    It covers the film from `x0`, `y0` to `x1`, `y1` in pixels of the stored image, and may reach
    beyond it. `source` tells what it is made from: the network's own heat map ("heat"), or the
    greatest score among the candidate boxes over a cell ("boxes").
    """

    cells: NDArray[np.uint8]
    x0: float
    y0: float
    x1: float
    y1: float
    source: Literal["heat", "boxes"]


def heat(job: Job) -> Heat | Refusal:
    """Map where the network sees opacity on a film; a film that it may not read is refused.

    Raises:
        BundleError: the bundle cannot be used.
        OSError: the film cannot be read.
    """
    predictor = _predictor(job.bundle, job.prevalence, job.runtime, job.threads)
    prepared = prepare(job.path, predictor.bundle.input_form, job.limits)
    if isinstance(prepared, Refusal):
        return prepared
    (raw,) = predictor.predict(prepared.input[None])
    size = float(predictor.input_size)
    x0, y0, x1, y1 = prepared.letterbox.to_image(0, 0, size, size)
    shares = raw.heat if raw.heat is not None else from_boxes(raw, predictor.input_size)
    cells = np.rint(np.clip(shares, 0, 1) * 255).astype(np.uint8)
    return Heat(cells, x0, y0, x1, y1, "boxes" if raw.heat is None else "heat")


def read_again(job: Job) -> Reading | Refusal:
    """Read a film as the worker would with this bundle.

    Raises:
        BundleError: the bundle cannot be used.
        OSError: the film cannot be read.
    """
    predictor = _predictor(job.bundle, job.prevalence, job.runtime, job.threads)
    return read_film(predictor, job.path, job.limits)


def from_boxes(raw: Raw, size: int) -> NDArray[np.float32]:
    """Return for each cell of the network's input the greatest score of the boxes over it."""
    centres = np.arange(_STRIDE / 2, size, _STRIDE, dtype=np.float32)
    cells = np.zeros((centres.size, centres.size), np.float32)
    for (x0, y0, x1, y1), score in zip(raw.boxes.tolist(), raw.scores.tolist(), strict=True):
        rows = np.flatnonzero((centres >= y0) & (centres < y1))
        columns = np.flatnonzero((centres >= x0) & (centres < x1))
        if rows.size and columns.size:
            part = cells[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            np.maximum(part, score, out=part)
    return cells


@functools.lru_cache(maxsize=1)
def _predictor(folder: Path, prevalence: float | None, runtime: Runtime, threads: int) -> Predictor:
    # Before the network's threads start, because each keeps the priority that it starts with:
    # films that wait for their report go first.
    os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)
    bundle = for_site(load_bundle(folder), prevalence)
    return Predictor(bundle, runtime=runtime, threads=threads)
