"""Reads the films of an archive with one bundle."""

from __future__ import annotations

import errno
import math
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from db.bundles import BundleKey
from db.objects import open_store
from db.rereading import FilmFile, StudyFilms
from inference.bundle import BundleError, for_site, load_bundle
from inference.grey import Grey, grey
from inference.isolation import ChildFailedError, IsolatedPool
from inference.outcome import outcome
from inference.predict import Predictor, Runtime
from inference.prepare import Limits, Prepared, prepare
from inference.reading import Reading, Refusal
from inference.worker.near import Kept, NearPool
from inference.worker.registry import key_of
from settings import Settings

_ATTEMPTS = 2


@dataclass(frozen=True, slots=True)
class ReaderJob:
    """With what films are read: the bundle's folder and what names it, the share of the machine.

    `settings` tell where films are kept and how they are decoded.
    """

    settings: Settings
    bundle: Path
    key: BundleKey
    prevalence: float | None
    runtime: Runtime
    cpus: float


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
        AwayError: the object store cannot be used as it is configured.
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
        worker = job.settings.worker
        self._limits = Limits(worker.max_pixels, job.settings.eligibility)
        self._store = open_store(job.settings)
        self._children = IsolatedPool(
            share,
            timeout_seconds=worker.decode_timeout_seconds,
            memory_bytes=worker.decode_memory_bytes,
            modules=(prepare.__module__,),
        )
        self._pool = NearPool(self._children, self._store, share)

    def read(self, studies: Sequence[StudyFilms]) -> list[ReadStudy]:
        """Read all films of some studies."""
        films = [film for study in studies for film in study.films]
        futures = {film_id: self._submit(film) for film_id, film in films}
        made = {film_id: self._prepared(futures[film_id], film) for film_id, film in films}
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
        self._children.close()
        self._store.close()

    def _submit(self, film: FilmFile) -> Future[Prepared | Refusal]:
        form, path = self._predictor.bundle.input_form, self._store.near_path(film.path)
        kept = Kept(film.path, film.file_sha256)
        return self._pool.submit([kept], prepare, path, form, self._limits)

    def _prepared(
        self, future: Future[Prepared | Refusal], film: FilmFile
    ) -> Prepared | Refusal | Unread:
        """Wait for a film; one that costs its child process is tried once more."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return future.result()
            except ChildFailedError as error:
                if attempt == _ATTEMPTS:
                    return Unread(str(error), of_film=True)
                future = self._submit(film)
            except OSError as error:
                why = "is missing" if error.errno == errno.ENOENT else "cannot be read"
                return Unread(f"a file {why}", of_film=False)
        raise AssertionError("every attempt returns")
