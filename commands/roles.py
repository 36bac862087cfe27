"""The long-running commands: each opens what it needs, works until it is told to stop, and ends."""

from __future__ import annotations

import ctypes
import errno
import gc
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

import metrics
from commands.audited import audited
from commands.golden import next_film
from commands.logs import configure_logging
from commands.problem import ProblemError
from db import migrations
from db.backup import refuse_unfinished
from db.files import AwayError, FileStore
from db.live import Live
from db.objects import ObjectStore, open_store
from db.owners import this_process
from db.recovery import return_lost
from db.session import Database
from db.upload import uploading
from scp_service.monitor import monitored
from scp_service.monitor.shared import forget, shared_folder
from scp_service.supervise import supervise
from settings import Loaded, Settings, doubts

if TYPE_CHECKING:
    from scp_service.crew import Shared

_log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1
_LISTENERS_SWITCH_SECONDS = 0.0005
"""How long a thread of the listener may compute while others wait (5 ms is Python's choice): an
echo passes a dozen times from thread to thread, and would wait for each association at work."""


@contextmanager
def opened(settings: Settings) -> Iterator[tuple[Database, FileStore]]:
    """Open the data folder and the database, brought to this program's version.

    Raises:
        ProblemError: the object store cannot be used as it is configured.
        SchemaError: the database is newer than this program.
        BackupError: a restore into the data folder has not ended.
        OSError: the data folder cannot be used.
    """
    os.umask(0o077)  # what lies below the data folder is for this user alone
    try:
        store = open_store(settings)
    except AwayError as error:
        raise ProblemError(str(error)) from None
    refuse_unfinished(store)
    store.prepare()
    database = Database(settings.database)
    try:
        migrations.upgrade(database, store.root)
        # What is loaded by now stays: the garbage collector need not look through it again.
        gc.freeze()
        yield database, store
    finally:
        database.close()
        store.close()


@contextmanager
def _running(role: str, settings: Settings) -> Iterator[tuple[Database, FileStore]]:
    """Open what a role needs, and tell how it is doing until it ends.

    Raises:
        ProblemError: the port for that cannot be had.
        SchemaError, OSError: see `opened`.
    """
    told = settings.metrics
    with opened(settings) as (database, store), audited(role, settings):
        watched = monitored(role, settings, database, store)
        with ExitStack() as stack:
            stack.enter_context(_on_its_port(watched, told.host, told.port, "metrics"))
            if isinstance(store, ObjectStore):
                stack.enter_context(uploading(database, store))
            yield database, store


@contextmanager
def _on_its_port(
    served: AbstractContextManager[None], host: str, port: int, table: str
) -> Iterator[None]:
    """Enter what listens on a port; where it cannot be had, name the keys of `table`.

    Raises:
        ProblemError: the port cannot be had.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(served)
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL):
                raise
            why = os.strerror(error.errno)
            raise ProblemError(
                f"cannot listen on {host}, port {port} ({why}); set {table}.host or {table}.port"
            ) from None
        yield


@contextmanager
def _leasing(role: str, settings: Settings) -> Iterator[tuple[Database, FileStore, str]]:
    """Open what a role needs that takes tasks, with its name in leases.

    What the process had whose place it takes, or any other that was killed on this machine, is
    returned first, so that nobody waits until leases end of which nothing will come.

    Raises:
        ProblemError, SchemaError, OSError: see `_running`.
    """
    owner = this_process(role)
    with _running(role, settings) as (database, store):
        try:
            with database.write() as session:
                most, now = settings.worker.max_attempts, database.now(session)
                returned = return_lost(session, owner=owner, max_attempts=most, now=now)
        except SQLAlchemyError as error:
            _log.warning("Nothing was taken back yet: the database (%s).", type(error).__name__)
        else:
            if returned:
                _log.warning("%d tasks of lost workers were taken back.", returned)
        yield database, store, owner


def listen(loaded: Loaded) -> None:
    """Receive films until told to stop.

    Raises:
        SettingsError: what was changed in the console does not fit.
    """
    from scp_service.crew import run_crew

    settings = loaded.settings
    stop = begin("listen", settings)
    sys.setswitchinterval(_LISTENERS_SWITCH_SECONDS)
    if settings.listener.processes == 1:
        _listen(loaded, stop)
        return
    import_module("scp_service.listener")  # here, so that they share it
    folder = metrics.shared_folder()

    def ended(place: int) -> None:
        if folder is not None:
            forget(Path(folder), _name_of_listener(place))

    for place in range(settings.listener.processes):
        ended(place)  # who ran before and was killed with all of its processes said that they run
    gc.freeze()
    run_crew(settings, stop, partial(_listen_together, loaded), ended)


def _listen_together(loaded: Loaded, shared: Shared) -> None:
    """Receive films as one process of several until told to stop."""
    settings = loaded.settings
    os.environ[metrics.SUPERVISOR_VARIABLE] = str(shared.parent)
    os.environ[metrics.ROLE_VARIABLE] = _name_of_listener(shared.place)
    told = settings.metrics.model_copy(update={"port": settings.metrics.port + shared.place})
    own = settings.model_copy(update={"metrics": told})
    stop = begin("listen", settings)
    _listen(replace(loaded, settings=own), stop, shared)


def _listen(loaded: Loaded, stop: threading.Event, shared: Shared | None = None) -> None:
    from scp_service.listener import listening

    settings = loaded.settings
    with _running("listen", settings) as (database, store):
        current = _live(loaded, database)
        with listening(settings, database, store, current, shared):
            metrics.RUNNING.labels("listen").set(1)
            stop.wait()


def _name_of_listener(place: int) -> str:
    """Return the name by which one process of several keeps what it counts."""
    return f"listen-{place + 1}"


def dicomweb(settings: Settings) -> None:
    """Take films by STOW-RS until told to stop.

    Raises:
        ProblemError: the port cannot be had.
    """
    from scp_service.dicomweb.server import serving

    stop = begin("dicomweb", settings)
    web = settings.dicomweb
    with _running("dicomweb", settings) as (database, store):
        served = serving(settings, database, store, stop.set)
        with _on_its_port(served, web.host, web.port, "dicomweb"):
            metrics.RUNNING.labels("dicomweb").set(1)
            stop.wait()


def console(loaded: Loaded) -> None:
    """Show the console until told to stop.

    Raises:
        ProblemError: the port cannot be had.
    """
    from audit import Trail
    from commands.user import first_user
    from console.app import make_app
    from console.context import Context
    from console.pictures.shown import Pictures
    from console.security.passwords import Passwords
    from console.security.seen import Seen
    from scp_service.http_server import serving_http

    settings = loaded.settings
    stop = begin("console", settings)
    web, passwords = settings.console, Passwords()
    if web.oidc.issuer is not None and find_spec("authlib") is None:
        raise ProblemError("console.oidc needs authlib; `pip install 'hilum[oidc]'` brings it")
    with (
        _running("console", settings) as (database, store),
        closing(Trail(settings)) as trail,
        closing(Pictures(settings, store)) as pictures,
    ):
        if (first := first_user(database, passwords)) is not None:
            # To the terminal, and not to the log.
            print(f"\nFirst login to the console: user admin, password {first}\n", flush=True)
        live = Live(loaded, database)
        context = Context(live, database, store, trail, passwords, Seen(), pictures)
        if web.is_in_the_clear:
            _log.warning("TLS is not enabled: passwords and patient data pass UNENCRYPTED.")
        served = serving_http(
            make_app(context),
            web.host,
            web.port,
            web.tls,
            name="console",
            who="a browser",
            trail=trail,
            ended=stop.set,
            proxies=web.proxies,
        )
        with _on_its_port(served, web.host, web.port, "console"):
            scheme = "https" if web.tls.enabled else "http"
            where = f"{scheme}://{web.host}:{web.port}"
            _log.info("The console is at %s.", where)
            metrics.RUNNING.labels("console").set(1)
            stop.wait()


def work(loaded: Loaded, *, fixed: bool = False) -> None:
    """Read and report until told to stop.

    `fixed`: `worker.bundle` stands on the command line, so what is activated is not followed.

    Raises:
        SettingsError: what was changed in the console does not fit.
    """
    settings = loaded.settings
    stop = begin("work", settings)
    from inference.worker import Worker
    from inference.worker.choice import loader, open_chosen
    from inference.worker.registry import Registry
    from inference.worker.shadow import reading_in_shadow

    machine = socket.gethostname()[:64]
    with _leasing("work", settings) as (database, store, owner):
        current = _live(loaded, database)
        load = loader(settings, Registry(store.root))
        if fixed:
            predictor, watch = load(None), None
            _log.info("The bundle is fixed by the command line: no other one is activated here.")
        else:
            predictor, watch = open_chosen(database, load, machine)
        gc.freeze()  # the network stays too
        _log.info("Reading with %s on %s.", predictor.bundle.label, predictor.runtime)
        metrics.RUNNING.labels("work").set(1)
        with reading_in_shadow(settings, database, store, owner, machine):
            Worker(settings, database, store, predictor, owner, watch, current).run(stop)


def deliver(loaded: Loaded) -> None:
    """Send results until told to stop.

    Raises:
        SettingsError: what was changed in the console does not fit.
    """
    from scp_service.deliver import deliver_all

    settings = loaded.settings
    stop = begin("deliver", settings)
    with _leasing("deliver", settings) as (database, store, owner):
        current = _live(loaded, database)
        for doubt in doubts(current()):
            _log.warning("Check the configuration: %s.", doubt)
        metrics.RUNNING.labels("deliver").set(1)
        deliver_all(settings, database, store, stop, owner, current)


def schedule(settings: Settings) -> None:
    """Run the scheduled jobs until told to stop."""
    from scp_service.schedule import Jobs, run_jobs

    stop = begin("schedule", settings)
    with _leasing("schedule", settings) as (database, store, owner):
        metrics.RUNNING.labels("schedule").set(1)
        film = partial(next_film, settings, database)
        jobs = Jobs(settings, database, store, owner, film)
        run_jobs(jobs, settings, stop)


def serve(settings: Settings, environment: Mapping[str, str]) -> None:
    """Run every role as a child process until told to stop."""
    from inference.bundle import load_bundle
    from scp_service.tls import server_context

    stop = begin("serve", settings)
    load_bundle(settings.worker.bundle)
    if settings.listener.tls.enabled:
        server_context(settings.listener.tls)  # a file that cannot be used stops the start too
    for web in (settings.dicomweb, settings.console):
        if web.enabled and web.tls.enabled:
            server_context(web.tls)
    with opened(settings):
        pass  # so that a database or folder that cannot be used stops the start, with one message
    with audited("serve", settings):
        if not settings.metrics.enabled:
            supervise(settings.roles, environment, stop)
            return
        with shared_folder() as folder:
            environment = {**environment, metrics.FOLDER_VARIABLE: str(folder)}
            supervise(settings.roles, environment, stop, partial(forget, folder))


def _live(loaded: Loaded, database: Database) -> Live:
    """Return the settings as the console changes them.

    Raises:
        SettingsError: what was changed there does not fit.
    """
    live = Live(loaded, database)
    live.take_up()
    return live


def begin(role: str, settings: Settings) -> threading.Event:
    """Set up logging and signals; return the event that is set when the role shall stop."""
    _die_with_supervisor()
    configure_logging(role, settings.log_level, settings.log_format)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _die_with_supervisor() -> None:
    """On Linux, have the kernel end this process when its supervisor is killed."""
    supervisor = os.environ.get(metrics.SUPERVISOR_VARIABLE)
    if supervisor is None or not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(supervisor):
        sys.exit("hilum: the supervisor is gone")
