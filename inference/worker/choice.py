"""Which bundle a worker reads with: the one that was activated, loaded beside the one in use."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from db import bundles
from db.bundles import BundleKey
from db.session import Database
from db.states import BundleRole
from inference.bundle import BundleError, device, for_site, load_bundle
from inference.predict import Predictor
from inference.reading import Device
from inference.worker.registry import Registry
from settings import Settings

_log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""How often the database is asked what is chosen."""
RETRY_SECONDS = 60.0
"""How long a bundle that could not be used is left alone."""

Load = Callable[[BundleKey | None], Predictor]
"""Loads and checks the network of a chosen bundle, or for None that of the configured one."""


@dataclass(frozen=True, slots=True)
class Model:
    """A bundle's network, loaded and checked, and the algorithm as reports name it."""

    predictor: Predictor
    device: Device

    @classmethod
    def of(cls, predictor: Predictor) -> Model:
        """Name the algorithm of a network."""
        return cls(predictor, device(predictor.bundle))


def loader(settings: Settings, registry: Registry) -> Load:
    """Return what loads bundles for this installation."""

    def load(key: BundleKey | None) -> Predictor:
        bundle = load_bundle(settings.worker.bundle) if key is None else registry.load(key)
        bundle = for_site(bundle, settings.worker.prevalence)
        return Predictor(bundle, runtime=settings.worker.runtime, threads=settings.worker.threads)

    return load


def open_chosen(database: Database, load: Load, worker: str) -> tuple[Predictor, BundleWatch]:
    """Load what is active, and return it with the watch over what will be.

    Where the active bundle cannot be used, that is recorded and the configured one is taken, so
    that films are read all the same.

    Raises:
        BundleError: the configured one cannot be used either.
    """
    with database.read() as session:
        choice = bundles.current(session, BundleRole.ACTIVE)
    watch = BundleWatch(database, load, worker)
    if choice is None:
        return load(None), watch
    predictor = watch.take(choice.id, bundles.key_of(choice))
    return predictor or load(None), watch


class BundleWatch:
    """Notices that another bundle was activated, and loads it in a thread of its own.

    A bundle that cannot be used changes nothing: the one in use reads on, the problem is recorded
    for `hilum bundle list` and logged, and the bundle is tried again later.
    `worker` is this machine's name in the problems.
    """

    def __init__(self, database: Database, load: Load, worker: str) -> None:
        self._database = database
        self._load = load
        self._worker = worker
        self._key: BundleKey | None = None
        self._followed: int | None = None
        self._failed: int | None = None
        self._not_before = 0.0
        self._looked = 0.0
        self._loading: tuple[int, BundleKey | None, Future[Predictor]] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="bundle")

    def poll(self) -> Predictor | None:
        """Return the network to read with from now on, once, where it is another one.

        Never waits for a network to load.

        Raises:
            SQLAlchemyError: the database failed; the next call tries again.
        """
        if self._loading is not None:
            if not self._loading[-1].done():
                return None
            predictor = self._finished(*self._loading)
            self._loading = None
            return predictor
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return None
        self._looked = time.monotonic()
        with self._database.read() as session:
            choice = bundles.current(session, BundleRole.ACTIVE)
        if choice is None or choice.id == self._followed:
            return None
        if choice.id == self._failed and time.monotonic() < self._not_before:
            return None
        key = bundles.key_of(choice)
        if key == self._key:  # as after a rollback from what could not be used
            self._followed = choice.id
            return None
        _log.info("Loading %s beside the bundle in use.", _name(key))
        self._loading = (choice.id, key, self._thread.submit(self._load, key))
        return None

    def take(self, choice_id: int, key: BundleKey | None) -> Predictor | None:
        """Load a chosen bundle now; None where it cannot be used, which is then recorded."""
        future = self._thread.submit(self._load, key)
        return self._finished(choice_id, key, future)

    def close(self) -> None:
        """Wait for a network that is loading, which cannot be interrupted, and forget it."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _finished(
        self, choice_id: int, key: BundleKey | None, future: Future[Predictor]
    ) -> Predictor | None:
        """Record how loading a bundle ended, and return its network where it ended well."""
        sentence = _why_not(future)
        with self._database.write() as session:
            if sentence is None:
                bundles.clear_problem(session, choice_id, worker=self._worker)
            else:
                now = self._database.now(session)
                bundles.record_problem(
                    session, choice_id, worker=self._worker, sentence=sentence, now=now
                )
        if sentence is not None:
            _log.error("The activated bundle cannot be used, and reads nothing: %s", sentence)
            self._failed = choice_id
            self._not_before = time.monotonic() + RETRY_SECONDS
            return None
        self._key, self._followed, self._failed = key, choice_id, None
        return future.result()


def _why_not(future: Future[Predictor]) -> str | None:
    try:
        future.result()
    except BundleError as error:
        return str(error)
    except OSError as error:
        return f"a file of it cannot be read: {error.strerror}"
    except Exception as error:
        return f"it cannot be loaded: an unforeseen error of the kind {type(error).__name__}"
    return None


def _name(key: BundleKey | None) -> str:
    return "the configured bundle" if key is None else key.label
