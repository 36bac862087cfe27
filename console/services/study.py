"""What people do with a study: send it again, try it again, have it read again, judge it.

What is done in one transaction takes the caller's session; who does it stands in the events.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from console.context import Context
from console.pictures.shown import CannotBeShownError, StoredFilm
from console.security.audited import acted
from console.security.who import Who
from console.services.errors import MissingError, RefusedError
from db import deliveries, shadows, studies, verdicts
from db.models import Instance, Study, Verdict
from db.states import InstanceState
from db.verdicts import NewVerdict


@dataclass(frozen=True, slots=True)
class Again:
    """What was put back to work: films and reports, and objects to be delivered."""

    films: int
    deliveries: int

    @property
    def count(self) -> int:
        """All of it."""
        return self.films + self.deliveries


def resend(session: Session, who: Who, study_id: int, *, everything: bool, now: datetime) -> Again:
    """Send the results of the latest report again: all, or what waits or was rejected.

    Raises:
        MissingError: there is no such study.
    """
    _find(session, study_id)
    reason = f"sent again by {who.name}"
    sent = deliveries.resend(session, study_id, everything=everything, now=now, reason=reason)
    return Again(0, sent)


def retry(session: Session, who: Who, study_id: int, *, now: datetime) -> Again:
    """Put back to work what failed or waits.

    Raises:
        MissingError: there is no such study.
    """
    _find(session, study_id)
    reason = f"retried by {who.name}"
    films = studies.retry(session, study_id, now=now, reason=reason)
    sent = deliveries.resend(session, study_id, everything=False, now=now, reason=reason)
    return Again(films, sent)


def read_anew(session: Session, who: Who, study_id: int, *, now: datetime) -> Again:
    """Have all films read by the active bundle, for a further revision; none while it is open.

    Raises:
        MissingError: there is no such study.
    """
    _find(session, study_id)
    reason = f"read again by {who.name}"
    return Again(studies.read_anew(session, study_id, reason=reason, now=now), 0)


def judge(session: Session, study_id: int, new: NewVerdict, *, now: datetime) -> Verdict:
    """Keep what somebody says of a reading; it changes nothing that was sent.

    Raises:
        MissingError: there is no such study.
        VerdictError: the reading is none of it, or what is said does not hold together.
    """
    _find(session, study_id)
    return verdicts.add(session, new, study_id=study_id, now=now)


def read_beside(context: Context, who: Who, study_id: int, bundle: str) -> int:
    """Have the films read by another bundle for comparison; return how many were.

    What it says is kept, and is sent to nobody.

    Raises:
        MissingError: there is no such study.
        RefusedError: the bundle cannot be used.
    """
    with context.database.read() as session:
        _find(session, study_id)
        films = session.scalars(
            select(Instance)
            .where(
                Instance.study_id == study_id,
                Instance.current,
                Instance.state == InstanceState.READ,
            )
            .order_by(Instance.id)
        ).all()
    try:
        read = [(film.id, context.pictures.read_beside(_stored(film), bundle)) for film in films]
    except CannotBeShownError as error:
        raise RefusedError(str(error)) from None
    with context.database.write() as session:
        now = context.database.now(session)
        for film_id, row in read:
            shadows.record_asked(session, film_id, row, by=who.name, now=now)
    told(context, who, study_id, f"Read for comparison by {bundle}: {len(read)} films.")
    return len(read)


def told(context: Context, who: Who, study_id: int, sentence: str) -> None:
    """Have the audit trail tell what was done with a study."""
    acted(context, who, sentence, f"study {study_id}")


def _stored(film: Instance) -> StoredFilm:
    return StoredFilm(film.id, film.path, film.file_sha256)


def _find(session: Session, study_id: int) -> None:
    if session.get(Study, study_id) is None:
        raise MissingError(f"There is no study {study_id} (any more).")
