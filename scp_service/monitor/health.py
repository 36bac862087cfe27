"""Whether the service can do its work, as a list of named checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from db import migrations
from db.files import FileStore
from db.session import Database
from db.standing import oldest_work
from settings import Settings

Check = Callable[[], str | None]
"""Returns None where all is well, else in a few words what is wrong."""

_KEEP_ON = frozenset({"listen", "dicomweb"})
"""Roles that do their work while an object store is away: films wait in the data folder."""


def checks(
    settings: Settings,
    database: Database,
    store: FileStore,
    figures: Collector,
    roles: Sequence[str],
) -> dict[str, Check]:
    """Return the checks that `roles` need to be ready, by name.

    `figures` has the metrics of these roles.
    """
    found: dict[str, Check] = {
        "database": lambda: _database(database),
        "storage": lambda: _storage(store, settings.listener.min_free_bytes),
    }
    if store.is_remote and not _KEEP_ON.issuperset(roles):
        found["object store"] = store.problem
    if "schedule" in roles:
        found["queue"] = lambda: _queue(database, settings.alarms.queue_minutes)
    if "work" in roles:
        found["model"] = lambda: (
            None if _present(figures, "hilum_bundle_loaded") else "no bundle is loaded"
        )
    if len(roles) > 1:
        found["roles"] = lambda: _roles(figures, roles)
    return found


def problems(found: Mapping[str, Check]) -> dict[str, str]:
    """Return what is wrong, by the name of the check; empty where everything is ready."""
    told = {name: check() for name, check in found.items()}
    return {name: problem for name, problem in told.items() if problem is not None}


def _database(database: Database) -> str | None:
    try:
        migrations.check(database)
    except migrations.SchemaError as error:
        return str(error)
    except SQLAlchemyError as error:
        return f"it does not answer ({type(error).__name__})"
    return None


def _storage(store: FileStore, least: int) -> str | None:
    try:
        free = store.free_bytes()
    except OSError as error:
        return f"the data folder cannot be used ({error.strerror})"
    return None if free >= least else "less room than listener.min_free_bytes is left"


def _queue(database: Database, minutes: float) -> str | None:
    if minutes == 0:
        return None
    try:
        with database.read() as session:
            oldest = oldest_work(session)
            now = database.now(session)
    except SQLAlchemyError:
        return "the database does not tell"
    if oldest is None or now - oldest <= timedelta(minutes=minutes):
        return None
    waited = (now - oldest).total_seconds() / 60
    return f"a film or report has waited for {waited:.0f} minutes"


def _roles(figures: Collector, roles: Sequence[str]) -> str | None:
    running = _present(figures, "hilum_role_running")
    missing = [role for role in roles if {"role": role} not in running]
    return f"not running: {', '.join(missing)}" if missing else None


def _present(figures: Collector, name: str) -> list[dict[str, str]]:
    """Return the labels of a gauge's series that are not 0."""
    return [
        sample.labels
        for metric in figures.collect()
        if metric.name == name
        for sample in metric.samples
        if sample.value
    ]
