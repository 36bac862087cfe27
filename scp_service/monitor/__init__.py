"""How the service is doing, for those who watch it: metrics and health by HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

import metrics
from db.files import FileStore
from db.session import Database
from scp_service.monitor.health import checks
from scp_service.monitor.server import serving
from scp_service.monitor.standing import StandingCollector
from settings import Settings

TELLS = "schedule"
"""The role that tells what waits, and below `hilum serve` the metrics of all roles."""


@contextmanager
def monitored(
    role: str, settings: Settings, database: Database, store: FileStore
) -> Iterator[None]:
    """Tell metrics and health until the context ends, where that is enabled.

    A role that runs alone tells its own; below `hilum serve` one role tells those of all.

    Raises:
        OSError: the port is taken or may not be used.
    """
    folder = metrics.shared_folder()
    if not settings.metrics.enabled or (folder is not None and role != TELLS):
        yield
        return
    registry = CollectorRegistry()
    if folder is None:
        figures, roles = REGISTRY, [role]
    else:
        figures, roles = CollectorRegistry(), settings.roles
        MultiProcessCollector(figures, folder)  # type: ignore[no-untyped-call]
    registry.register(figures)
    if role == TELLS:
        registry.register(StandingCollector(database, store))
    found = checks(settings, database, store, figures, roles)
    with serving(settings.metrics.host, settings.metrics.port, registry, found):
        yield
