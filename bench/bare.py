"""The limit: films decoded in child processes and read by the network, with nothing around it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import psutil

from inference.bundle import load_bundle
from inference.isolation import IsolatedPool
from inference.predict import Predictor
from inference.prepare import Limits, Prepared, prepare
from inference.reading import Refusal
from settings import Settings


class Bare:
    """Decode and network as the worker configures them, without queue, database or reports."""

    def __init__(self, settings: Settings) -> None:
        worker = settings.worker
        self._batch = worker.batch_size
        self._limits = Limits(worker.max_pixels, settings.eligibility)
        self.predictor = Predictor(
            load_bundle(worker.bundle), runtime=worker.runtime, threads=worker.threads
        )
        self.processes = worker.processes
        self._pool = IsolatedPool(
            self.processes,
            timeout_seconds=worker.decode_timeout_seconds,
            memory_bytes=worker.decode_memory_bytes,
        )

    def __enter__(self) -> Bare:
        self._pool.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.__exit__(None, None, None)

    def eligible(self, films: Iterable[Path]) -> list[Path]:
        """Return the films that are read; those that are refused would flatter every rate."""
        films = list(films)
        found = zip(films, self._prepare(films), strict=True)
        return [film for film, prepared in found if isinstance(prepared, Prepared)]

    def rate(self, films: Sequence[Path]) -> float:
        """Return films read per second, decoding and network overlapping as they can."""
        begin = time.perf_counter()
        batch: list[Prepared] = []
        for prepared in self._prepare(films):
            if isinstance(prepared, Refusal):
                raise TypeError("a film that is not read stands among those to measure with")
            batch.append(prepared)
            if len(batch) == self._batch:
                self._predict(batch)
                batch = []
        if batch:
            self._predict(batch)
        return len(films) / (time.perf_counter() - begin)

    def cpu_seconds(self) -> float:
        """Return the processor time used so far by this process and those that decode."""
        here = psutil.Process()
        return sum(sum(each.cpu_times()[:2]) for each in [here, *here.children(recursive=True)])

    def one_film(self, film: Path) -> float:
        """Return the seconds that one film alone takes, from its file to the network's output."""

        def read() -> None:
            (prepared,) = self._prepare([film])
            assert isinstance(prepared, Prepared)
            self._predict([prepared])

        return _seconds(read)

    def network_alone(self, film: Path) -> float:
        """Return the seconds that the network takes for one film that is decoded already."""
        (prepared,) = self._prepare([film])
        assert isinstance(prepared, Prepared)
        return _seconds(lambda: self._predict([prepared]))

    def _prepare(self, films: Sequence[Path]) -> Iterable[Prepared | Refusal]:
        form = self.predictor.bundle.input_form
        futures = [self._pool.submit(prepare, film, form, self._limits) for film in films]
        return (future.result() for future in futures)

    def _predict(self, batch: Sequence[Prepared]) -> None:
        self.predictor.predict(np.stack([film.input for film in batch]))


def _seconds(call: Callable[[], None]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin
