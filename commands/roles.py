"""The long-running commands: each opens what it needs, works until it is told to stop, and ends."""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.logging import RichHandler

from db import migrations
from db.files import FileStore
from db.session import Database
from scp_service.supervise import ROLES, SUPERVISOR_VARIABLE, supervise
from settings import Settings

_PR_SET_PDEATHSIG = 1


@contextmanager
def opened(settings: Settings) -> Iterator[tuple[Database, FileStore]]:
    """Open the data folder and the database, brought to this program's version.

    Raises:
        SchemaError: the database is newer than this program.
        OSError: the data folder cannot be used.
    """
    store = FileStore(settings.data_path)
    store.prepare()
    database = Database(settings.database)
    try:
        migrations.upgrade(database, store.root)
        # What is loaded by now stays: the garbage collector need not look through it again.
        gc.freeze()
        yield database, store
    finally:
        database.close()


def listen(settings: Settings) -> None:
    """Receive films until told to stop."""
    from scp_service.listener import listening

    stop = _begin("listen", settings)
    with opened(settings) as (database, store), listening(settings, database, store):
        stop.wait()


def work(settings: Settings) -> None:
    """Read and report until told to stop."""
    stop = _begin("work", settings)
    from inference.bundle import for_site, load_bundle
    from inference.predict import Predictor
    from inference.worker import Worker

    predictor = Predictor(
        for_site(load_bundle(settings.worker.bundle), settings.worker.prevalence),
        runtime=settings.worker.runtime,
        threads=settings.worker.threads,
    )
    with opened(settings) as (database, store):
        bundle = predictor.bundle
        logging.getLogger(__name__).info(
            "Reading with %s %s on %s.", bundle.id, bundle.version, predictor.runtime
        )
        Worker(settings, database, store, predictor, _owner("work")).run(stop)


def deliver(settings: Settings) -> None:
    """Send results until told to stop."""
    from scp_service.deliver import deliver_all

    stop = _begin("deliver", settings)
    with opened(settings) as (database, store):
        deliver_all(settings, database, store, stop, _owner("deliver"))


def schedule(settings: Settings) -> None:
    """Run the scheduled jobs until told to stop."""
    from scp_service.schedule import Jobs, run_jobs

    stop = _begin("schedule", settings)
    with opened(settings) as (database, store):
        run_jobs(Jobs(settings, database, store, _owner("schedule")), settings, stop)


def serve(settings: Settings, environment: Mapping[str, str]) -> None:
    """Run every role as a child process until told to stop."""
    from inference.bundle import for_site, load_bundle

    stop = _begin("serve", settings)
    for_site(load_bundle(settings.worker.bundle), settings.worker.prevalence)
    with opened(settings):
        pass  # so that a database or folder that cannot be used stops the start, with one message
    supervise(ROLES, environment, stop)


def _begin(role: str, settings: Settings) -> threading.Event:
    """Set up logging and signals; return the event that is set when the role shall stop."""
    _die_with_supervisor()
    configure_logging(role, settings.log_level)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def configure_logging(role: str, level: str) -> None:
    """Log to standard error: for people at a terminal in colour, elsewhere one plain line each.

    The libraries' own messages and warnings may hold names and UIDs, so only ours are shown.
    """
    handler: logging.Handler
    if sys.stderr.isatty():
        handler = RichHandler(console=Console(stderr=True), show_path=False, markup=False)
        handler.setFormatter(logging.Formatter(f"{role}: %(message)s"))
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter(f"%(asctime)s %(levelname)s {role}: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    warnings.simplefilter("ignore")
    for name in ("pynetdicom", "pydicom", "apscheduler", "alembic", "highdicom"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _owner(role: str) -> str:
    return f"{role}@{socket.gethostname()[:32]}:{os.getpid()}"


def _die_with_supervisor() -> None:
    """On Linux, have the kernel end this process when its supervisor is killed."""
    supervisor = os.environ.get(SUPERVISOR_VARIABLE)
    if supervisor is None or not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(supervisor):
        sys.exit("hilum: the supervisor is gone")
