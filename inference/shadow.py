"""A film is read with a second bundle, in a child process that gives way to everything else."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from pathlib import Path

from inference.bundle import for_site, load_bundle
from inference.outcome import read_film
from inference.predict import Predictor, Runtime
from inference.prepare import Limits
from inference.reading import Reading, Refusal

LOWEST_PRIORITY = 19


@dataclass(frozen=True, slots=True)
class ShadowFilm:
    """A film, and with what it is read: the bundle's folder, its runtime and CPU threads.

    `prevalence` is the site's, see `inference.bundle.for_site`.
    """

    path: Path
    bundle: Path
    runtime: Runtime
    threads: int
    limits: Limits
    prevalence: float | None


def read_in_shadow(film: ShadowFilm) -> Reading | Refusal:
    """Read a film from its file. This process keeps the network for the next one.

    Raises:
        BundleError: the bundle cannot be used.
        OSError: the film cannot be read.
    """
    predictor = _predictor(film.bundle, film.prevalence, film.runtime, film.threads)
    return read_film(predictor, film.path, film.limits)


@functools.lru_cache(maxsize=1)
def _predictor(folder: Path, prevalence: float | None, runtime: Runtime, threads: int) -> Predictor:
    # Before the network's threads start, because each keeps the priority that it starts with.
    os.setpriority(os.PRIO_PROCESS, 0, LOWEST_PRIORITY)
    bundle = for_site(load_bundle(folder), prevalence)
    return Predictor(bundle, runtime=runtime, threads=threads)
