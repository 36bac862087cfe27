"""A run of fetching in this process, against whichever archive."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from db.files import FileStore
from db.models import Instance
from db.session import Database
from scp_service.archives.fetch import Fetch, Outcome
from scp_service.archives.kinds import archive_of
from scp_service.archives.pace import Pace
from scp_service.archives.query import Query
from scp_service.receive import receiving
from tests.scp_service.running import configured


@contextmanager
def prepared(
    archive: Mapping[str, Any],
    database: Database,
    store: FileStore,
    *,
    modalities: Sequence[str] = ("CR", "DX"),
    dates: str = "20240301",
    stop: threading.Event | None = None,
    query: Mapping[str, str] | None = None,
    **values: Any,
) -> Iterator[Fetch]:
    """Prepare a run; `archive` are the keys of its table, `values` are other settings."""
    settings = configured(store.root, archives=[{"name": "pacs", **archive}], **values)
    with (
        receiving(settings, database, store) as receiver,
        closing(archive_of(settings.archives[0], settings, receiver)) as asked,
    ):
        yield Fetch(
            asked,
            Query(tuple(modalities), dates, **(query or {})),
            database,
            store,
            0,
            Pace(60_000),
            stop or threading.Event(),
            lambda: datetime.now(UTC),
        )


def outcomes(
    archive: Mapping[str, Any], database: Database, store: FileStore, **how: Any
) -> list[Outcome]:
    """Run to the end."""
    with prepared(archive, database, store, **how) as run:
        return list(run.run(run.studies()))


def held(database: Database) -> list[Instance]:
    """Return all films that are here, in the order that they came in."""
    with database.read() as session:
        return list(session.scalars(select(Instance).order_by(Instance.id)))
