"""Films, and the steps of a study's way, made short for tests."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import inspect, select
from sqlalchemy.orm import Session

from db import deliveries, images, queue, reports, shadows, studies
from db.bundles import BundleKey
from db.intake import Film, Outcome, record_films
from db.models import Event, Instance, ShadowReading, StoredReading, Study
from db.session import Database
from db.states import InstanceState, TaskKind

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
OWNER = "worker@test:1"
SECOND = BundleKey("second", "2", "2" * 64)
LEASE_SECONDS = 30.0

_numbers = itertools.count(1_000_000)  # so that UIDs sort as they were made


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self, start: datetime = NOON) -> None:
        self.now = start

    def __call__(self) -> datetime:
        """Return the present."""
        return self.now

    def move(self, **by: float) -> datetime:
        """Move by a time (the keywords of `timedelta`, negative: back) and return the present."""
        self.now += timedelta(**by)
        return self.now


class RunningClock(Clock):
    """A clock that runs, and can be moved."""

    def __call__(self) -> datetime:
        """Return the present."""
        return datetime.now(UTC) + (self.now - self._start)

    def __init__(self) -> None:
        super().__init__()
        self._start = self.now


def uid() -> str:
    """Return a UID that no other call returns."""
    return f"1.2.826.0.1.3680043.9999.{next(_numbers)}"


def film(content: bytes | None = None, **values: Any) -> Film:
    """Make a film of a study of its own; equal `content` gives equal digests."""
    number = next(_numbers)
    data = content if content is not None else f"film {number}".encode()
    made: dict[str, Any] = {
        "study_instance_uid": uid(),
        "series_instance_uid": uid(),
        "sop_instance_uid": uid(),
        "sop_class_uid": "1.2.840.10008.5.1.4.1.1.1.1",
        "transfer_syntax_uid": "1.2.840.10008.1.2.1",
        "patient_id": f"P{number}",
        "patient_name": "Test^Film",
        "patient_birth_date": "19700101",
        "patient_sex": "O",
        "accession_number": f"A{number}",
        "study_date": "20240301",
        "study_description": "Thorax",
        "modality": "DX",
        "station": "ROOM1",
        "path": f"films/2024/03/01/{number}.dcm",
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "file_sha256": hashlib.sha256(b"head" + data).hexdigest(),
        "source_ae": "MODALITY",
        "called_ae": "HILUM",
        "source_address": "127.0.0.1",
    }
    return Film(**{**made, **values})


def receive(database: Database, *films: Film) -> list[Outcome]:
    """Record films in one transaction, as the listener does."""
    with database.write() as session:
        return record_films(session, films, database.now(session))


def claim(
    database: Database,
    kind: TaskKind,
    *,
    limit: int = 10,
    lane: str = "",
    owner: str = OWNER,
    lease_seconds: float = LEASE_SECONDS,
) -> list[queue.Lease]:
    """Lease what is ready."""
    with database.write() as session:
        return queue.claim(
            session,
            kind,
            owner=owner,
            now=database.now(session),
            lease_seconds=lease_seconds,
            limit=limit,
            lane=lane,
        )


def claim_one(database: Database, kind: TaskKind, **how: Any) -> queue.Lease:
    """Lease the one task that must be ready."""
    (lease,) = claim(database, kind, **how)
    return lease


def stored_reading(instance_id: int, now: datetime, **values: Any) -> StoredReading:
    """Make a reading's row."""
    made: dict[str, Any] = {
        "bundle": "test 1",
        "device_uid": "2.25.1",
        "rows": 100,
        "columns": 80,
        "p_normal": 0.1,
        "p_not_normal": 0.2,
        "p_lung_opacity": 0.7,
        "pneumonia": 0.7,
        "finding": "opacity",
        "threshold": 0.5,
        "boxes": [{"x": 1.0, "y": 2.0, "width": 3.0, "height": 4.0, "score": 0.7}],
        "created_at": now,
    }
    return StoredReading(instance_id=instance_id, **{**made, **values})


def read(database: Database, lease: queue.Lease, **values: Any) -> None:
    """Finish a read task with a reading."""
    with database.write() as session:
        now = database.now(session)
        row = stored_reading(lease.subject_id, now, **values)
        images.record_readings(session, [(lease, row)], now=now)


def read_all(database: Database) -> int:
    """Read every film that waits; return how many there were."""
    lanes = ("", queue.ALONE)
    leases = [
        each for lane in lanes for each in claim(database, TaskKind.READ, limit=1000, lane=lane)
    ]
    for lease in leases:
        read(database, lease)
    return len(leases)


def shadow_reading(**values: Any) -> ShadowReading:
    """Make the row of a reading in shadow."""
    made: dict[str, Any] = {
        "bundle": SECOND.label,
        "device_uid": "2.25.2",
        "p_normal": 0.2,
        "p_not_normal": 0.2,
        "p_lung_opacity": 0.6,
        "pneumonia": 0.6,
        "finding": "opacity",
        "threshold": 0.5,
        "boxes": [],
    }
    return ShadowReading(**{**made, **values})


def read_in_shadow(database: Database, **values: Any) -> int:
    """Finish every shadow task with such a reading; return how many there were."""
    leases = claim(database, TaskKind.SHADOW, limit=1000)
    for lease in leases:
        with database.write() as session:
            shadows.record(session, lease, shadow_reading(**values), now=database.now(session))
    return len(leases)


def close_quiet(database: Database, quiet_seconds: float = 3) -> int:
    """Make report tasks for the studies that are quiet."""
    with database.write() as session:
        return studies.close_quiet(session, quiet_seconds=quiet_seconds, now=database.now(session))


def new_result(kind: str = "sr", **values: Any) -> reports.NewResult:
    """Make a result that lies on disk."""
    number = next(_numbers)
    made: dict[str, Any] = {
        "kind": kind,
        "sop_class_uid": {
            "sr": "1.2.840.10008.5.1.4.1.1.88.34",
            "sc": "1.2.840.10008.5.1.4.1.1.7",
        }[kind],
        "sop_instance_uid": uid(),
        "series_instance_uid": uid(),
        "transfer_syntax_uid": "1.2.840.10008.1.2.1",
        "path": f"results/2024/03/01/{number}.dcm",
        "size": 10,
        "file_sha256": hashlib.sha256(str(number).encode()).hexdigest(),
    }
    return reports.NewResult(**{**made, **values})


def new_report(*results: reports.NewResult, **values: Any) -> reports.NewReport:
    """Make a report of these results, or of one SR and one SC."""
    made: dict[str, Any] = {
        "bundle": "test 1",
        "device_uid": "2.25.1",
        "finding": "opacity",
        "probability": 0.7,
        "sentence": "Opacity suspicious for pneumonia.",
        "recorded_at": NOON,
        "results": results or (new_result("sr"), new_result("sc")),
    }
    return reports.NewReport(**{**made, **values})


def material(database: Database, study_id: int) -> reports.Material:
    """Gather what a study's next report is made from."""
    with database.read() as session:
        return reports.material(session, [study_id])[study_id]


def report(
    database: Database,
    profiles: Mapping[str, Sequence[str]] | None = None,
    made: reports.NewReport | None = None,
) -> int:
    """Report the one study that has a report task, and return its id."""
    lease = claim_one(database, TaskKind.REPORT)
    source = material(database, lease.subject_id)
    with database.write() as session:
        finished = reports.FinishedReport(
            lease,
            source,
            made or new_report(),
            {"pacs": ("sr", "sc")} if profiles is None else profiles,
        )
        reports.record_reports(session, [finished], now=database.now(session))
    return lease.subject_id


def reported_study(
    database: Database,
    clock: Clock,
    *films: Film,
    profiles: Mapping[str, Sequence[str]] | None = None,
    made: reports.NewReport | None = None,
) -> int:
    """Take one study the whole way to its report and return its id."""
    receive(database, *(films or (film(),)))
    read_all(database)
    clock.move(seconds=10)
    close_quiet(database)
    return report(database, profiles, made)


def parcels(database: Database, lane: str = "pacs", limit: int = 10) -> list[deliveries.Parcel]:
    """Lease what is to be sent to a destination."""
    with database.write() as session:
        leases = queue.claim(
            session,
            TaskKind.DELIVER,
            owner=OWNER,
            now=database.now(session),
            lease_seconds=LEASE_SECONDS,
            limit=limit,
            lane=lane,
        )
        return deliveries.parcels(session, leases)


def send_all(database: Database, lane: str = "pacs") -> None:
    """Record everything that waits for a destination as sent."""
    for parcel in parcels(database, lane, limit=1000):
        with database.write() as session:
            deliveries.record_sent(session, [deliveries.Sent(parcel, 0)], now=database.now(session))


def instance_of(session: Session, made: Film) -> Instance:
    """Find the row of a film by its digest."""
    return session.scalars(
        select(Instance).where(
            Instance.sop_instance_uid == made.sop_instance_uid, Instance.sha256 == made.sha256
        )
    ).one()


def study_of(session: Session, made: Film) -> Study:
    """Find the study of a film."""
    return session.scalars(
        select(Study).where(Study.study_instance_uid == made.study_instance_uid)
    ).one()


def states(database: Database, *films: Film) -> list[InstanceState]:
    """Return where films stand."""
    with database.read() as session:
        return [instance_of(session, each).state for each in films]


def events(database: Database, study_id: int | None = None) -> list[tuple[str, str, str | None]]:
    """Return events in order as (subject, state, reason): all of them, or one study's."""
    query = select(Event).order_by(Event.id)
    if study_id is not None:
        query = query.where(Event.study_id == study_id)
    with database.read() as session:
        return [(each.subject.value, each.state, each.reason) for each in session.scalars(query)]


def rows(database: Database, table: type[Any]) -> list[Any]:
    """Return all rows of a table in order of their keys, detached."""
    with database.read() as session:
        return list(session.scalars(select(table).order_by(*inspect(table).primary_key)))
