"""Reads the films of an archive with one bundle, on a node of the cluster or right here."""

from __future__ import annotations

import errno
import math
import pickle
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from db.bundles import BundleKey
from db.rereading import StudyFilms
from inference.bundle import BundleError, for_site, load_bundle
from inference.grey import Grey, grey
from inference.isolation import ChildFailedError, IsolatedPool
from inference.outcome import outcome
from inference.predict import Predictor, Runtime
from inference.prepare import Limits, Prepared, prepare
from inference.reading import Reading, Refusal
from inference.worker.registry import key_of

_ATTEMPTS = 2


@dataclass(frozen=True, slots=True)
class ReaderJob:
    """With what films are read: the bundle's folder and what names it, limits, the machine's share.

    `root` is the data folder. It holds no secret.
    """

    root: Path
    bundle: Path
    key: BundleKey
    prevalence: float | None
    runtime: Runtime
    cpus: float
    limits: Limits
    timeout_seconds: float
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Unread:
    """Why an image could not be read; `of_film` where the film itself brought its decoder down."""

    reason: str
    of_film: bool


@dataclass(frozen=True, slots=True)
class ReadStudy:
    """What became of each image of a study, by image; with its grey values where it was read."""

    study_id: int
    films: dict[int, tuple[Reading | Refusal | Unread, Grey | None]]


class Reader:
    """Holds the network and child processes that decode, for one batch of studies after the other.

    Raises:
        BundleError: the bundle is not there, not whole, not the one, or cannot be run.
    """

    def __init__(self, job: ReaderJob) -> None:
        bundle = load_bundle(job.bundle)
        if key_of(bundle) != job.key:
            raise BundleError(
                f"{job.bundle}: this is not the bundle {job.key.label} that was named"
            )
        share = math.ceil(job.cpus)
        self._job = job
        self._predictor = Predictor(
            for_site(bundle, job.prevalence), runtime=job.runtime, threads=share
        )
        self._pool = IsolatedPool(
            share,
            timeout_seconds=job.timeout_seconds,
            memory_bytes=job.memory_bytes,
            modules=(prepare.__module__,),
        )

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Read a batch as Ray Data hands it over: pickled `StudyFilms` become `ReadStudy`."""
        read = self.read([pickle.loads(each) for each in batch["study"]])
        packed = np.empty(len(read), object)
        packed[:] = [pickle.dumps(each) for each in read]
        return {"read": packed}

    def read(self, studies: Sequence[StudyFilms]) -> list[ReadStudy]:
        """Read all films of some studies."""
        films = [film for study in studies for film in study.films]
        futures = {film_id: self._submit(path) for film_id, path in films}
        made = {film_id: self._prepared(futures[film_id], path) for film_id, path in films}
        ready = {film_id: each for film_id, each in made.items() if isinstance(each, Prepared)}
        raws = (
            self._predictor.predict(np.stack([each.input for each in ready.values()]))
            if ready
            else []
        )
        said: dict[int, tuple[Reading | Refusal | Unread, Grey | None]] = {
            film_id: (each, None)
            for film_id, each in made.items()
            if not isinstance(each, Prepared)
        }
        for (film_id, film), raw in zip(ready.items(), raws, strict=True):
            said[film_id] = outcome(raw, film, self._predictor.bundle), grey(film)
        return [
            ReadStudy(study.study_id, {film_id: said[film_id] for film_id, _ in study.films})
            for study in studies
        ]

    def close(self) -> None:
        """End the child processes."""
        self._pool.close()

    def _submit(self, path: str) -> Future[Prepared | Refusal]:
        form = self._predictor.bundle.input_form
        return self._pool.submit(prepare, self._job.root / path, form, self._job.limits)

    def _prepared(
        self, future: Future[Prepared | Refusal], path: str
    ) -> Prepared | Refusal | Unread:
        """Wait for a film; one that costs its child process is tried once more."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return future.result()
            except ChildFailedError as error:
                if attempt == _ATTEMPTS:
                    return Unread(str(error), of_film=True)
                future = self._submit(path)
            except OSError as error:
                why = "is missing" if error.errno == errno.ENOENT else "cannot be read"
                return Unread(f"a file {why}", of_film=False)
        raise AssertionError("every attempt returns")
