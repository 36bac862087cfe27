"""What waits, and what room there is, as metrics: asked of database and disk at every look."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from importlib.metadata import version

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from db import alarms, pauses
from db.files import FileStore
from db.models import Alarm, DestinationPause
from db.objects import ObjectStore
from db.session import Database
from db.standing import Standing, standing
from db.states import AlarmKind


class StandingCollector(Collector):
    """Asks anew whenever it is collected; where the database fails, that is what is told."""

    def __init__(self, database: Database, store: FileStore) -> None:
        self._database = database
        self._store = store

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of the whole installation."""
        yield InfoMetricFamily(
            "hilum_build",
            "This program's version.",
            {"version": version("hilum"), "python": platform.python_version()},
        )
        yield from self._disk()
        up = GaugeMetricFamily("hilum_database_up", "1 where the database answers.")
        try:
            with self._database.read() as session:
                now = self._database.now(session)
                found = standing(session)
                wrong = alarms.standing(session)
                paused = pauses.pauses(session)
        except SQLAlchemyError:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        yield from _waiting(found, now)
        yield _paused(found, paused)
        yield _alarms(wrong)

    def _disk(self) -> Iterator[Metric]:
        try:
            free = self._store.free_bytes()
        except OSError:
            return
        yield GaugeMetricFamily(
            "hilum_data_free_bytes", "Bytes that may still be written to the data folder.", free
        )
        if isinstance(self._store, ObjectStore):
            yield GaugeMetricFamily(
                "hilum_object_store_up",
                "1 where the object store answers.",
                self._store.problem() is None,
            )
            yield GaugeMetricFamily(
                "hilum_files_to_upload",
                "Files of this machine that are not in the object store yet.",
                sum(1 for _ in self._store.waiting()),
            )


def _paused(found: Standing, paused: Sequence[DestinationPause]) -> Metric:
    metric = GaugeMetricFamily(
        "hilum_destination_paused",
        "1 where somebody wants a destination to get nothing for now.",
        labels=["destination"],
    )
    names = {each.destination for each in paused}
    for name in sorted(names | {lane.destination for lane in found.undelivered}):
        metric.add_metric([name], name in names)
    return metric


def _alarms(wrong: Sequence[Alarm]) -> Metric:
    metric = GaugeMetricFamily("hilum_alarms", "Alarms that are not over.", labels=["kind"])
    kinds = Counter(each.kind for each in wrong)
    for kind in AlarmKind:
        metric.add_metric([kind.value], kinds[kind])
    return metric


def _waiting(found: Standing, now: datetime) -> Iterator[Metric]:
    tasks = GaugeMetricFamily(
        "hilum_tasks", "Tasks that are ready, leased or quarantined.", labels=["kind", "state"]
    )
    age = GaugeMetricFamily(
        "hilum_oldest_task_age_seconds",
        "Age of the oldest task that is not quarantined.",
        labels=["kind"],
    )
    ages: dict[str, float] = {}
    for each in found.tasks:
        tasks.add_metric([each.kind, each.state], each.count)
        if each.state != "quarantined":
            ages[each.kind] = max(ages.get(each.kind, 0.0), _age(each.oldest, now))
    for kind, seconds in ages.items():
        age.add_metric([kind], seconds)
    objects = GaugeMetricFamily(
        "hilum_undelivered_objects", "Objects still to be delivered.", labels=["destination"]
    )
    lag = GaugeMetricFamily(
        "hilum_oldest_undelivered_age_seconds",
        "Age of the oldest object still to be delivered.",
        labels=["destination"],
    )
    for lane in found.undelivered:
        objects.add_metric([lane.destination], lane.count)
        lag.add_metric([lane.destination], _age(lane.oldest, now))
    awaited = GaugeMetricFamily(
        "hilum_commitments_awaited",
        "Objects whose storage the destination has not committed itself to yet.",
        labels=["destination"],
    )
    for destination, count in found.commitments.items():
        awaited.add_metric([destination], count)
    yield from (tasks, age, objects, lag, awaited)
    yield GaugeMetricFamily(
        "hilum_commitments_owed", "Storage commitments asked of us, not yet answered.", found.owed
    )
    yield GaugeMetricFamily(
        "hilum_open_studies", "Studies with films that no report covers yet.", found.open_studies
    )


def _age(since: datetime, now: datetime) -> float:
    return max((now - since).total_seconds(), 0.0)
