"""Roles that are not the fault's victim, run in this process: they cost no start and no network."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from db.files import FileStore
from db.session import Clock, Database
from inference.bundle import Bundle
from inference.predict import Raw
from inference.worker import Worker
from scp_service.deliver import deliver_all
from scp_service.listener import listening
from scp_service.schedule import Jobs, run_jobs
from settings import Settings, load
from tests.inference.bundles import small_bundle
from tests.system.whole import Whole


class Reader:
    """What a worker needs of a predictor: it finds every film normal, at once."""

    runtime = "test"

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    def predict(self, inputs: NDArray[np.uint8]) -> list[Raw]:
        """Say the same of each film."""
        empty = np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
        return [Raw(np.array((9, 0, 0), np.float32), *empty) for _ in inputs]


def settings_of(service: Whole) -> Settings:
    """Return the settings that a service's processes run with."""
    return load({}, environ=service.env).settings


def store_of(service: Whole) -> FileStore:
    """Return a service's data folder, made where it is not there yet."""
    store = FileStore(service.data)
    store.prepare()
    return store


@contextmanager
def receiving(service: Whole, *, clock: Clock | None = None) -> Iterator[None]:
    """Listen in this process until the end of the block."""
    store = store_of(service)
    with (
        closing(Database(service.database.url, clock=clock)) as database,
        listening(settings_of(service), database, store),
    ):
        yield


@contextmanager
def reading(service: Whole, *, clock: Clock | None = None) -> Iterator[None]:
    """Read and report in this process until the end of the block, each film as normal."""
    settings, store = settings_of(service), store_of(service)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        bundle = small_bundle(folder / "bundle", input_size=64)
        database = stack.enter_context(closing(Database(service.database.url, clock=clock)))
        worker = Worker(settings, database, store, Reader(bundle), "worker@test:1")
        _run(stack, worker.run)
        yield


@contextmanager
def scheduling(service: Whole, *, clock: Clock | None = None) -> Iterator[None]:
    """Do in this process what happens by the clock, until the end of the block."""
    settings, store = settings_of(service), store_of(service)
    with ExitStack() as stack:
        database = stack.enter_context(closing(Database(service.database.url, clock=clock)))
        jobs = Jobs(settings, database, store, "schedule@test:1")
        _run(stack, lambda stop: run_jobs(jobs, settings, stop))
        yield


@contextmanager
def delivering(service: Whole, *, clock: Clock | None = None) -> Iterator[None]:
    """Deliver in this process until the end of the block."""
    settings, store = settings_of(service), store_of(service)
    with ExitStack() as stack:
        database = stack.enter_context(closing(Database(service.database.url, clock=clock)))
        _run(stack, lambda stop: deliver_all(settings, database, store, stop, "deliver@test:1"))
        yield


def _run(stack: ExitStack, target: Callable[[threading.Event], None]) -> None:
    """Run it in a thread that is told to stop, and waited for, when the stack unwinds."""
    stop = threading.Event()
    thread = threading.Thread(target=target, args=(stop,))
    thread.start()
    stack.callback(thread.join)
    stack.callback(stop.set)
