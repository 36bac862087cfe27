"""Reading an archive anew: page by page through the readers, and each study into the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from cluster.reader import Reader, ReaderJob, ReadStudy, Unread
from db import rereading
from db.models import ShadowReading, StoredReading
from db.owners import this_process
from db.rereading import Archive, StudyFilms
from db.session import Database
from db.shadows import FAILED
from db.studies import close_quiet
from inference.bundle import Bundle, device
from inference.reading import Refusal
from inference.urgency import is_urgent
from inference.worker.rows import to_row
from inference.worker.shadow import row_of
from settings import Settings

_PAGE = 20_000
"""Studies that are handed to the readers at once: what this process remembers is bounded by it."""
_BATCH = 8
"""Studies that a reader gets at once."""

Read = Callable[[Sequence[StudyFilms]], Iterator[list[ReadStudy]]]
"""Has studies read, and gives them back in any order as they are done."""


@dataclass(slots=True)
class Tally:
    """What became of the archive: films and studies that were recorded, and the others.

    `left` ones are as they were: another image came, a file is missing, a film cannot be decoded.
    """

    studies: int = 0
    films: int = 0
    left: int = 0
    reason: str = ""
    """Of the last one that was left."""


class Recorder:
    """Records what the readers say, batch by batch, each batch in one transaction.

    Args:
        database: where to.
        archive: what is read.
        bundle: by which bundle, as the site reads with it.
        settings: which findings are urgent, when a study is quiet.
        by: who reads it anew, for the history.
    """

    def __init__(
        self, database: Database, archive: Archive, bundle: Bundle, settings: Settings, by: str
    ) -> None:
        self.tally = Tally()
        self._database = database
        self._archive = archive
        self._bundle = bundle
        self._device = device(bundle)
        self._settings = settings
        self._by = by

    def record(self, read: Sequence[ReadStudy]) -> None:
        """Record some studies; what was recorded meanwhile is not recorded twice."""
        if self._archive.shadow:
            self._in_shadow(read)
        else:
            self._anew(read)

    def _in_shadow(self, read: Sequence[ReadStudy]) -> None:
        rows: dict[int, ShadowReading] = {}
        for study in read:
            for film_id, (said, _) in study.films.items():
                if not isinstance(said, Unread):
                    rows[film_id] = row_of(said, self._bundle)
                elif said.of_film:
                    rows[film_id] = ShadowReading(
                        bundle=self._bundle.label, device_uid=self._device.uid, boxes=[],
                        refusal_code=FAILED, reason=said.reason,
                    )  # fmt: skip
                else:
                    self.tally.left += 1
                    self.tally.reason = said.reason
        with self._database.write() as session:
            now = self._database.now(session)
            kept = rereading.record_shadow(session, self._archive, rows, now=now)
        self.tally.films += kept
        self.tally.studies += len(read)

    def _anew(self, read: Sequence[ReadStudy]) -> None:
        owner, films, studies = this_process("reread"), 0, 0
        left: list[str] = []
        with self._database.write() as session:
            now = self._database.now(session)
            for study in sorted(read, key=lambda each: each.study_id):
                rows = self._rows(study)
                if isinstance(rows, str):
                    left.append(rows)
                elif rereading.record_anew(
                    session, study.study_id, rows, owner=owner, reason=self._by, now=now
                ):
                    studies, films = studies + 1, films + len(rows)
                else:
                    left.append("it changed meanwhile")
            quiet = self._settings.study_quiet_seconds
            close_quiet(session, quiet_seconds=quiet, now=now)  # their reports are due
        tally = self.tally
        tally.studies, tally.films, tally.left = (
            tally.studies + studies, tally.films + films, tally.left + len(left)
        )  # fmt: skip
        tally.reason = left[-1] if left else tally.reason

    def _rows(self, study: ReadStudy) -> dict[int, StoredReading | rereading.Refused] | str:
        """Make the rows of a study; where one of its films could not be read, why."""
        rows: dict[int, StoredReading | rereading.Refused] = {}
        for film_id, (said, film_grey) in study.films.items():
            if isinstance(said, Unread):
                return said.reason
            if isinstance(said, Refusal):
                rows[film_id] = rereading.Refused(said.code.value, said.reason)
            else:
                assert film_grey is not None
                urgent = is_urgent(said, self._bundle, self._settings.priority)
                rows[film_id] = to_row(said, film_id, self._device, film_grey, urgent=urgent)
        return rows


def reread(
    database: Database,
    archive: Archive,
    recorder: Recorder,
    read: Read,
    tell: Callable[[int, int], None],
) -> Tally:
    """Have all that is left of an archive read and recorded; return what became of it.

    `tell` is told how many studies are done, of how many. What is recorded stays, however this
    ends; called again, it goes on from there.
    """
    with database.read() as session:
        total = rereading.count_left(session, archive)
    done, after = 0, 0
    tell(done, total)
    while True:
        with database.read() as session:
            page = rereading.left(session, archive, after=after, limit=_PAGE)
        if not page:
            return recorder.tally
        after = page[-1].study_id
        for batch in read(page):
            recorder.record(batch)
            done += len(batch)
            tell(done, max(total, done))


def here(job: ReaderJob) -> Read:
    """Return what reads on this machine."""

    def read(page: Sequence[StudyFilms]) -> Iterator[list[ReadStudy]]:
        reader = Reader(job)
        try:
            for start in range(0, len(page), _BATCH):
                yield reader.read(page[start : start + _BATCH])
        finally:
            reader.close()

    return read
