"""What is wrong now, by database and disk."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from db import pauses
from db.alarms import Condition
from db.files import FileStore
from db.standing import oldest_work, standing
from db.states import AlarmKind, TaskState
from settings import Alarms

KINDS = (AlarmKind.QUEUE, AlarmKind.DESTINATION, AlarmKind.DISK, AlarmKind.QUARANTINE)
"""All that `conditions` looks at."""


def conditions(
    session: Session, store: FileStore, limits: Alarms, *, now: datetime
) -> Iterator[Condition]:
    """Yield everything that is beyond its limit.

    Raises:
        OSError: the data folder cannot be used.
    """
    oldest = oldest_work(session)
    if limits.queue_minutes and _is_older(oldest, limits.queue_minutes, now):
        sentence = f"A film or report has waited for more than {limits.queue_minutes:g} minutes."
        yield Condition(AlarmKind.QUEUE, sentence)
    found = standing(session)
    paused = {each.destination for each in pauses.pauses(session)}
    for each in found.undelivered:
        if each.destination in paused:  # somebody wants it so
            continue
        minutes = limits.destination_minutes
        if minutes and _is_older(each.oldest, minutes, now):
            sentence = (
                f"Destination {each.destination} lacks results for more than {minutes:g} minutes."
            )
            yield Condition(AlarmKind.DESTINATION, sentence, each.destination)
    if store.free_bytes() < limits.free_bytes:
        sentence = f"Less than {limits.free_bytes / 1e9:.1f} GB are free in the data folder."
        yield Condition(AlarmKind.DISK, sentence)
    if limits.quarantine and any(each.state is TaskState.QUARANTINED for each in found.tasks):
        yield Condition(AlarmKind.QUARANTINE, "Tasks are set aside; `hilum doctor` tells more.")


def _is_older(since: datetime | None, minutes: float, now: datetime) -> bool:
    return since is not None and now - since > timedelta(minutes=minutes)
