"""How the work of a period flowed: films, how long they waited, how fast results arrived."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy.orm import Session

from db.sums.ask import Row, Summed, rows
from db.sums.histograms import SECONDS, quantile
from db.sums.periods import Length, Period
from db.sums.tables import DELIVERIES, FILMS, READINGS

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Times:
    """Median and the times that 95 and 99 of 100 do not exceed, in seconds; None: there are none.

    `count` of them were measured. They are right to 1 % (`db.sums.histograms`).
    """

    count: int
    median: float | None
    p95: float | None
    p99: float | None

    @classmethod
    def of(cls, packed: Iterable[str]) -> Times:
        """Tell them of packed histograms together."""
        counts = SECONDS.unpack(packed)
        return cls(int(counts.sum()), *(quantile(counts, part) for part in (0.5, 0.95, 0.99)))


@dataclass(frozen=True, slots=True)
class FlowStep:
    """One hour, day or week: films received, how long they waited to be read, results' latency."""

    start: datetime
    received: int
    refused: int
    quarantined: int
    wait: Times
    latency: Times


@dataclass(frozen=True, slots=True)
class ToDestination:
    """What one destination got: objects sent and rejected, and their latency."""

    destination: str
    sent: int
    rejected: int
    latency: Times


@dataclass(frozen=True, slots=True)
class FromStation:
    """What one station of one source sent."""

    source: str
    station: str
    received: int
    refused: int
    quarantined: int


@dataclass(frozen=True, slots=True)
class Flow:
    """A period in steps of one length, and in all.

    `wait` is the time from a film's arrival to its reading, `latency` the time from the arrival of
    a report's last film to the first acknowledgement of an object by its destination.
    """

    length: Length
    steps: tuple[FlowStep, ...]
    received: int
    bytes: int
    refused: int
    quarantined: int
    films_per_hour: float
    busiest: FlowStep | None
    wait: Times
    latency: Times
    destinations: tuple[ToDestination, ...]
    stations: tuple[FromStation, ...]


def flow(
    session: Session,
    period: Period,
    known: Summed,
    *,
    length: Length,
    now: datetime,
    source: str | None = None,
) -> Flow:
    """Tell how a period flowed, in steps of `length`; deliveries are of all sources."""
    where = {"source": source} if source else {}
    films = rows(session, FILMS, period, known, longest=length, where=where)
    readings = rows(
        session,
        READINGS,
        period,
        known,
        longest=length,
        where=where,
        without=("probability", "grey_mean_histogram", "grey_spread_histogram"),
    )
    deliveries = rows(session, DELIVERIES, period, known, longest=length)
    by_step = [_by(found, lambda row: length.floor(row["start"])) for found in (
        films, readings, deliveries
    )]  # fmt: skip
    steps = tuple(_step(start, *(found.get(start, []) for found in by_step))
                  for start in period.starts(length))  # fmt: skip
    hours = (min(period.until, max(now, period.since)) - period.since) / timedelta(hours=1)
    return Flow(
        length,
        steps,
        received=_sum(films, "received"),
        bytes=_sum(films, "bytes"),
        refused=_sum(films, "refused"),
        quarantined=_sum(films, "quarantined"),
        films_per_hour=_sum(films, "received") / hours if hours else 0.0,
        busiest=max(steps, key=lambda step: step.received, default=None),
        wait=Times.of(row["wait"] for row in readings),
        latency=Times.of(row["latency"] for row in deliveries),
        destinations=tuple(
            ToDestination(
                name,
                _sum(found, "sent"),
                _sum(found, "rejected"),
                Times.of(row["latency"] for row in found),
            )
            for name, found in sorted(_by(deliveries, lambda row: row["destination"]).items())
        ),
        stations=tuple(
            FromStation(
                *key, _sum(found, "received"), _sum(found, "refused"), _sum(found, "quarantined")
            )
            for key, found in sorted(
                _by(films, lambda row: (row["source"], row["station"])).items()
            )
        ),
    )


def _step(
    start: datetime, films: Sequence[Row], readings: Sequence[Row], deliveries: Sequence[Row]
) -> FlowStep:
    return FlowStep(
        start,
        _sum(films, "received"),
        _sum(films, "refused"),
        _sum(films, "quarantined"),
        Times.of(row["wait"] for row in readings),
        Times.of(row["latency"] for row in deliveries),
    )


def _by(found: Iterable[Row], key: Callable[[Row], K]) -> dict[K, list[Row]]:
    groups: dict[K, list[Row]] = {}
    for row in found:
        groups.setdefault(key(row), []).append(row)
    return groups


def _sum(found: Iterable[Row], name: str) -> int:
    return sum(row[name] for row in found)
