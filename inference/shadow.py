"""A film is read with a second bundle, in a child process that gives way to everything else."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from pathlib import Path

from inference.bundle import load_bundle
from inference.predict import Predictor, Runtime, reading
from inference.prepare import Limits, prepare
from inference.reading import Reading, Refusal

LOWEST_PRIORITY = 19


@dataclass(frozen=True, slots=True)
class ShadowFilm:
    """A film, and with what it is read: the bundle's folder, its runtime and CPU threads."""

    path: Path
    bundle: Path
    runtime: Runtime
    threads: int
    limits: Limits


def read_in_shadow(film: ShadowFilm) -> Reading | Refusal:
    """Read a film from its file. This process keeps the network for the next one.

    Raises:
        BundleError: the bundle cannot be used.
        OSError: the film cannot be read.
    """
    predictor = _predictor(film.bundle, film.runtime, film.threads)
    prepared = prepare(film.path, predictor.bundle.input_form, film.limits)
    if isinstance(prepared, Refusal):
        return prepared
    (raw,) = predictor.predict(prepared.input[None])
    return reading(raw, prepared.letterbox, prepared.rows, prepared.columns, predictor.bundle)


@functools.lru_cache(maxsize=1)
def _predictor(folder: Path, runtime: Runtime, threads: int) -> Predictor:
    # Before the network's threads start, because each keeps the priority that it starts with.
    os.setpriority(os.PRIO_PROCESS, 0, LOWEST_PRIORITY)
    return Predictor(load_bundle(folder), runtime=runtime, threads=threads)
