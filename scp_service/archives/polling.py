"""An archive that does not push is asked from time to time for what is new."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from contextlib import closing
from datetime import datetime, timedelta

from db.files import FileStore
from db.session import Database
from scp_service.archives.fetch import Fetch, Result
from scp_service.archives.found import ArchiveError, RetrieveError, UnavailableError
from scp_service.archives.kinds import archive_of
from scp_service.archives.pace import Pace
from scp_service.archives.query import Query
from scp_service.audited import archive_asked
from scp_service.receive import receiving
from settings import Archive, Settings

_log = logging.getLogger(__name__)

_DAYS_BACK = timedelta(days=1)
"""A study around midnight, or with a film that came late, is found by the next day's query too."""


def poll(
    archive: Archive,
    settings: Settings,
    database: Database,
    store: FileStore,
    stop: threading.Event,
    now: datetime,
) -> None:
    """Fetch what is missing here of the studies of yesterday and today.

    An archive that does not answer is an error in the log, and is asked again at the next time.
    `now` is the local time, aware.
    """
    dates = f"{now - _DAYS_BACK:%Y%m%d}-{now:%Y%m%d}"
    results: Counter[Result] = Counter()
    reason = ""
    with (
        receiving(settings, database, store) as receiver,
        closing(archive_of(archive, settings, receiver)) as asked,
    ):
        run = Fetch(
            asked,
            Query(archive.modalities, dates),
            database,
            store,
            settings.listener.min_free_bytes,
            Pace(archive.studies_per_minute),
            stop,
            lambda: datetime.now().astimezone(),
        )
        archive_asked(receiver.trail, archive, asked.where, run.query)
        try:
            for outcome in run.run(run.studies()):
                results[outcome.result] += 1
                reason = outcome.reason or reason
        except (ArchiveError, RetrieveError, UnavailableError) as error:
            _log.error("Archive %s (%s): %s.", archive.name, asked.where, error)
    if results[Result.FETCHED]:
        _log.info("%d studies were fetched from %s.", results[Result.FETCHED], archive.name)
    if results[Result.FAILED]:
        _log.warning(
            "%d studies were not fetched from %s, the last one because %s.",
            results[Result.FAILED],
            archive.name,
            reason,
        )
