"""`hilum doctor`: is everything that Hilum needs there, and if not, what is to be done?"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from sqlalchemy.exc import SQLAlchemyError

from commands.check import Check, Verdict
from commands.doctor_backup import backups
from commands.doctor_console import console
from commands.doctor_objects import object_store
from commands.doctor_permissions import permissions
from commands.doctor_sources import archives, is_free, stow
from commands.doctor_tls import certificates
from commands.send import echo
from db import bundles, history, migrations, pauses
from db.files import FileStore
from db.session import Database
from db.sqlite import journal_mode
from db.states import BundleRole
from inference.bundle import Bundle, BundleError, for_site, load_bundle
from inference.predict import Predictor
from inference.urgency import unknown_point
from inference.worker.registry import Registry
from scp_service.answer import PeerError
from scp_service.destinations.registry import connector
from scp_service.store_scu import Peer
from settings import Destination, Loaded, Settings, doubts, mask_url

_STYLES = {Verdict.GOOD: "green", Verdict.NOTE: "yellow", Verdict.BAD: "bold red"}


def examine(loaded: Loaded) -> Iterator[Check]:
    """Run every check, cheap ones first."""
    settings = loaded.settings
    file = loaded.config_file
    yield Check("settings", Verdict.GOOD, f"from {file}" if file else "no file: defaults")
    yield from _storage(settings)
    yield from object_store(settings)
    yield from permissions(loaded)
    yield from backups(settings, datetime.now(UTC))
    yield from _database(settings)
    yield from _listener(settings)
    yield from certificates(settings, datetime.now(UTC))
    yield from _destinations(settings)
    yield from archives(settings)
    yield from stow(settings)
    yield from console(settings)
    yield _gpu()
    yield from _bundle(settings)


def print_checks(checks: Iterator[Check], out: Console) -> bool:
    """Print checks as they come; return whether none is bad."""
    good = True
    for check in checks:
        good = good and check.verdict is not Verdict.BAD
        style = _STYLES[check.verdict]
        out.print(
            f"[{style}]{check.verdict.value:>4}[/]  [bold]{check.name}[/]  {escape(check.text)}",
            highlight=False,
            soft_wrap=True,
        )
    return good


def _storage(settings: Settings) -> Iterator[Check]:
    store = FileStore(settings.data_path)
    try:
        store.prepare()
        free = store.free_bytes()
    except OSError as error:
        yield Check(
            "storage",
            Verdict.BAD,
            f"{store.root} cannot be used ({error.strerror}); set data_dir to a folder that this"
            " user may write",
        )
        return
    room = f"{store.root}, {free / 1e9:.1f} GB free"
    if free < settings.listener.min_free_bytes:
        limit = settings.listener.min_free_bytes / 1e9
        yield Check(
            "storage",
            Verdict.BAD,
            f"{room}: below listener.min_free_bytes ({limit:.1f} GB), so films are refused; make"
            " room or lower the limit",
        )
    else:
        yield Check("storage", Verdict.GOOD, room)


def _database(settings: Settings) -> Iterator[Check]:
    url = mask_url(settings.database)
    database = Database(settings.database)
    try:
        migrations.upgrade(database, settings.data_path)
        with database.read() as session:
            counts = history.counts(session)
            problems = bundles.problems(session)
            paused = pauses.pauses(session)
    except (SQLAlchemyError, migrations.SchemaError, OSError) as error:
        detail = str(getattr(error, "orig", error)).strip().splitlines()[0]
        yield Check("database", Verdict.BAD, f"{url}: {detail}; see database_url")
        return
    finally:
        database.close()
    mode = f", journal {journal_mode()}" if database.is_sqlite else ""
    yield Check(
        "database",
        Verdict.GOOD,
        f"{url}{mode}: {counts.studies} studies, {counts.live_tasks} tasks waiting,"
        f" {counts.pending_deliveries} deliveries pending",
    )
    for choice, problem in problems:
        yield Check(
            f"bundle, {choice.role.value}",
            Verdict.BAD,
            f"{choice.bundle or 'the configured bundle'} cannot be used by the worker on"
            f" {problem.worker}: {problem.sentence}; mend it, or choose another (`hilum bundle`)",
        )
    for pause in paused:
        why = f": {pause.reason}" if pause.reason else ""
        yield Check(
            f"destination {pause.destination}",
            Verdict.NOTE,
            f"paused since {pause.at:%Y-%m-%d %H:%M} UTC by {pause.by}{why}; what is for it waits,"
            " until it is resumed in the console (Administration, Destinations)",
        )
    if counts.quarantined_tasks:
        yield Check(
            "quarantine",
            Verdict.NOTE,
            f"{counts.quarantined_tasks} tasks are set aside; `hilum history --state failed` and"
            " `hilum show STUDY` tell why, `hilum retry STUDY` tries again",
        )


def _listener(settings: Settings) -> Iterator[Check]:
    listener = settings.listener
    ours = Peer("127.0.0.1", listener.port, listener.ae_title, listener.ae_title, 5)
    problem = echo(ours)
    if problem is None:
        yield Check(
            "listener", Verdict.GOOD, f"port {listener.port} answers as {listener.ae_title}"
        )
    elif is_free(listener.host, listener.port):
        yield Check(
            "listener",
            Verdict.NOTE,
            f"port {listener.port} is free; `hilum serve` will listen on it",
        )
    else:
        yield Check(
            "listener",
            Verdict.BAD,
            f"port {listener.port} is in use or barred, and no Hilum that lets us in answers there"
            f" ({problem}); choose another listener.port, or add this machine to peers",
        )
    if not settings.peers:
        yield Check("peers", Verdict.NOTE, "none configured: anyone who reaches the port may send")


def _destinations(settings: Settings) -> Iterator[Check]:
    if not settings.destinations and not any(peer.return_results for peer in settings.peers):
        yield Check(
            "destinations",
            Verdict.NOTE,
            "none configured: results are kept and sent nowhere; add [[destinations]] to"
            " hilum.toml",
        )
    for doubt in doubts(settings):
        yield Check("destinations", Verdict.BAD, doubt)
    for destination in settings.destinations:
        yield _answers(destination, settings)


def _answers(destination: Destination, settings: Settings) -> Check:
    peer = connector(destination, settings)
    name = f"destination {destination.name}"
    try:
        peer.probe()
    except PeerError as error:
        return Check(name, Verdict.BAD, f"{peer.where}: {error}")
    return Check(name, Verdict.GOOD, f"{peer.where} answers")


def _gpu() -> Check:
    devices = sorted(Path("/dev").glob("nvidia[0-9]*"))
    cores = len(os.sched_getaffinity(0))
    text = (
        f"{len(devices)} NVIDIA GPUs" if devices else f"no GPU: the network runs on {cores} cores"
    )
    return Check("hardware", Verdict.GOOD, text)


def _bundle(settings: Settings) -> Iterator[Check]:
    try:
        bundle = for_site(_active(settings), settings.worker.prevalence)
        predictor = Predictor(
            bundle, runtime=settings.worker.runtime, threads=settings.worker.threads
        )
    except BundleError as error:
        yield Check("model", Verdict.BAD, f"{error}; `hilum bundle list` shows all")
        return
    problem = unknown_point(bundle, settings.priority)
    if problem is not None:
        yield Check("priority", Verdict.BAD, problem)
    use = "; for evaluation only" if bundle.evaluation_only else ""
    yield Check(
        "model",
        Verdict.GOOD,
        f"{bundle.id} {bundle.version} on {predictor.runtime}, golden output met{use}",
    )


def _active(settings: Settings) -> Bundle:
    """Return the bundle that workers read with: the activated one, else the configured one.

    Raises:
        BundleError: it cannot be used.
    """
    database = Database(settings.database)
    try:
        with database.read() as session:
            key = bundles.key_of(bundles.current(session, BundleRole.ACTIVE))
    except SQLAlchemyError:
        key = None  # what is wrong with the database is told by its own check
    finally:
        database.close()
    if key is None:
        return load_bundle(settings.worker.bundle)
    return Registry(settings.data_path).load(key)
