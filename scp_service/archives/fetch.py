"""One run of fetching: what is here is left out, what is missing comes, study by study.

Nothing is remembered between runs but what the database holds, so a run that was interrupted, or
killed, is continued by the same command.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from db.files import FileStore
from db.holdings import films_held, results_of_ours
from db.session import Database
from scp_service.archives.found import (
    Archive,
    ArchiveError,
    FoundImage,
    FoundStudy,
    RetrieveError,
    UnavailableError,
)
from scp_service.archives.pace import Pace
from scp_service.archives.query import Query
from scp_service.listener import SOP_CLASSES

_PAUSES_SECONDS = (2.0, 10.0, 30.0)
"""Before an archive that went away is asked again; then the run ends."""
_MOST_FAILURES = 5
"""How many studies may fail one after another before the run ends."""
_SHORT_REST_SECONDS = 5.0
"""A longer rest is not spent on an open association."""
_LOOK_AGAIN_SECONDS = 30.0
_CLASSES = frozenset(str(each) for each in SOP_CLASSES)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a study holds for us: how many of its images are here, and which are not."""

    study: FoundStudy
    here: int
    missing: tuple[FoundImage, ...]


class Result(StrEnum):
    """How a study's fetching ended."""

    NOTHING = "nothing"
    """It has no image that could be read."""
    HERE = "here"
    """All of its images were here already."""
    FETCHED = "fetched"
    FAILED = "failed"
    """Some images did not come; those that did are kept."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one study: its images that were here, came and did not come, and why."""

    study: FoundStudy
    result: Result
    here: int = 0
    fetched: int = 0
    failed: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Fetch:
    """A run against one archive. `clock` returns the local time, aware."""

    archive: Archive
    query: Query
    database: Database
    store: FileStore
    min_free_bytes: int
    pace: Pace
    stop: threading.Event
    clock: Callable[[], datetime]

    def studies(self) -> list[FoundStudy]:
        """Ask which studies match; the newest come first.

        Raises:
            ArchiveError, UnavailableError, RetrieveError: the archive does not answer.
        """
        found = self.archive.studies(self.query)
        return sorted(found, key=lambda study: study.study_date, reverse=True)

    def plan(self, study: FoundStudy) -> Plan:
        """Ask for a study's images, and set those apart that are held or are results of ours.

        Raises:
            ArchiveError, UnavailableError, RetrieveError: the archive does not answer.
        """
        images = {
            image.sop_instance_uid: image
            for image in self._trying(lambda: self.archive.images(study, self.query.modalities))
            if image.sop_instance_uid and (image.sop_class_uid or "") in {"", *_CLASSES}
        }
        with self.database.read() as session:
            held = films_held(session, images)
            ours = results_of_ours(session, images)
        missing = [images[uid] for uid in images if uid not in held | ours]
        return Plan(study, len(held), tuple(missing))

    def run(
        self, studies: list[FoundStudy], on_rest: Callable[[float], None] = lambda _: None
    ) -> Iterator[Outcome]:
        """Fetch studies one after another, until all are done or `stop` is set.

        `on_rest` is told how many seconds the pace makes us wait.

        Raises:
            ArchiveError: the archive cannot be used, or there is no room here.
            UnavailableError: it went away, and did not come back.
        """
        previous: datetime | None = None
        failures = 0
        for study in studies:
            if self.stop.is_set():
                return
            try:
                plan = self.plan(study)
                if plan.missing:
                    self._rest(previous, on_rest)
                    if self.stop.is_set():
                        return
                    previous = self.clock()
                outcome = self._fetch(plan)
            except RetrieveError as error:
                outcome = Outcome(study, Result.FAILED, reason=str(error))
            yield outcome
            failures = failures + 1 if outcome.result is Result.FAILED else 0
            if failures == _MOST_FAILURES:
                raise ArchiveError(
                    f"{failures} studies failed one after another, the last one because"
                    f" {outcome.reason}"
                )

    def _fetch(self, plan: Plan) -> Outcome:
        if not plan.missing:
            return Outcome(plan.study, Result.HERE if plan.here else Result.NOTHING, plan.here)
        if self.store.free_bytes() < self.min_free_bytes:
            raise ArchiveError(
                "the data folder is almost full (listener.min_free_bytes): make room, then run the"
                " same command again"
            )
        reason = "it says that it sent the images, but they did not come here"
        try:
            self._trying(lambda: self.archive.retrieve(plan.study, self._missing(plan)))
        except RetrieveError as error:
            reason = str(error)
        failed = len(self._missing(plan))
        fetched = len(plan.missing) - failed
        if failed:
            return Outcome(plan.study, Result.FAILED, plan.here, fetched, failed, reason)
        return Outcome(plan.study, Result.FETCHED, plan.here, fetched)

    def _missing(self, plan: Plan) -> tuple[FoundImage, ...]:
        """Return what is still missing; after a second try, that is less than at first."""
        with self.database.read() as session:
            held = films_held(session, [image.sop_instance_uid for image in plan.missing])
        return tuple(image for image in plan.missing if image.sop_instance_uid not in held)

    def _trying(self, ask: Callable[[], T]) -> T:
        """Ask, and ask again where the archive goes away."""
        for pause in _PAUSES_SECONDS:
            try:
                return ask()
            except UnavailableError:
                self.archive.close()
                if self.stop.wait(pause):
                    raise
        return ask()

    def _rest(self, previous: datetime | None, on_rest: Callable[[float], None]) -> None:
        """Wait for as long as the pace asks for, or until told to stop."""
        while (seconds := self.pace.wait(previous, self.clock())) > 0:
            on_rest(seconds)
            if seconds > _SHORT_REST_SECONDS:
                self.archive.close()
            if self.stop.wait(min(seconds, _LOOK_AGAIN_SECONDS)):
                return
