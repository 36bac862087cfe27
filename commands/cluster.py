"""`hilum work --ray`: the workers on a Ray cluster, looked after from here until told to stop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cluster.connection import connected
from cluster.crew import Crew
from cluster.shared import marked
from cluster.travelling import pack
from commands.audited import audited
from commands.problem import ProblemError
from commands.roles import begin, opened
from db.session import Database
from settings import Loaded


def work(loaded: Loaded, address: str, environment: Mapping[str, str]) -> None:
    """Keep workers on the cluster at `address` until told to stop.

    Raises:
        ClusterError: the cluster cannot be used.
        ProblemError: its machines cannot share the database.
        SettingsError: the configuration file cannot be read.
    """
    settings = loaded.settings
    travelling = pack(loaded, environment)
    with connected(address) as ray:
        # Only now: Ray takes the signals when it connects.
        stop = begin("work", settings)
        with (
            opened(settings) as (database, store),
            audited("work", settings),
            marked(store.root) as mark,
        ):
            refuse_local_database(ray, database)
            Crew(ray, settings.ray, database, travelling, mark).run(stop)


def refuse_local_database(ray: Any, database: Database) -> None:
    """Refuse to have several machines share an SQLite file, which that would damage.

    Raises:
        ProblemError: they would.
    """
    machines = {node["NodeManagerHostname"] for node in ray.nodes() if node["Alive"]}
    if database.is_sqlite and len(machines) > 1:
        raise ProblemError(
            f"the cluster has {len(machines)} machines, and SQLite is for one: set database_url to"
            " a PostgreSQL database (postgresql+psycopg://…)"
        )
