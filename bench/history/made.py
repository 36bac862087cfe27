"""Two years of studies, made up: rows as the service would have left them, batch by batch.

Seeded, so that the same call makes the same rows. Sources differ in how much they send and find,
bundles follow each other, and in the last days the films of one station become brighter.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from db import models
from db.states import DeliveryState, InstanceState, StudyState, TaskKind, TaskState

YEARS = 2
BATCH = 10_000
SOURCES = {
    "ER": (0.34, 0.26, ("ER-DX1", "ER-DX2")),
    "RADIOLOGY": (0.40, 0.13, ("ROOM1", "ROOM2", "ROOM3")),
    "WARDS": (0.18, 0.24, ("MOBILE1", "MOBILE2", "MOBILE3", "MOBILE4")),
    "OUTPATIENT": (0.08, 0.09, ("OUT-CR",)),
}
"""By AE title: its share of all studies, how many of a hundred are positive, its stations."""
BUNDLES = (
    ("hilum-default 1", 0.0, 0.31),
    ("hilum-default 2", 0.3, 0.36),
    ("hilum-default 3", 0.75, 0.34),
)
"""Name, from which part of the time on it reads, its threshold."""  # fmt: skip
SHADOW, SHADOW_DAYS = "candidate 4", 30
DRIFTING, DRIFT_DAYS = "MOBILE2", 9
DESTINATIONS = {"pacs": ("sr", "sc"), "ris": ("sr",)}
STALLED, STALLED_HOURS = "ris", 2
"""A destination that has taken nothing for so long."""

FAMILY_NAMES = (
    "Ng", "Li", "Diaz", "Kaya", "Sato", "Ali", "Koch", "Lund", "Roy", "Berg", "Costa", "Dubois",
    "Ivanov", "Jensen", "Khan", "Lopez", "Meyer", "Novak", "Okafor", "Petrov", "Quinn", "Rossi",
    "Silva", "Tanaka", "Urban", "Varga", "Weber", "Xu", "Yilmaz", "Zhang",
)  # fmt: skip
GIVEN_NAMES = (
    "Ana", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gia", "Hal", "Ida", "Jan", "Kim", "Leo", "Mia",
    "Noa", "Ole", "Pia", "Rui", "Sam", "Tim", "Uma", "Vera",
)  # fmt: skip
_CLASS, _SYNTAX = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.1.2.1"
_OBJECTS = {"sr": "1.2.840.10008.5.1.4.1.1.88.34", "sc": "1.2.840.10008.5.1.4.1.1.7"}
_SENTENCES = {
    "opacity": "Opacity suspicious for pneumonia.",
    "abnormal": "No opacity suspicious for pneumonia; the film is not normal.",
    "normal": "No opacity suspicious for pneumonia; the film is probably normal.",
    "failed": "Not analysed (a lateral view).",
}
_LATERAL = ("view", "A lateral view is not analysed.")

Row = tuple[Any, ...]

TABLES: dict[type[models.Base], tuple[str, ...]] = {
    models.Study: (
        "id", "study_instance_uid", "patient_id", "patient_name", "patient_birth_date",
        "patient_sex", "accession_number", "study_date", "study_description", "source_ae",
        "source_address", "state", "revision", "priority", "finding", "probability", "sentence",
        "bundle", "station", "created_at", "last_received_at", "reported_at",
    ),
    models.Instance: (
        "id", "study_id", "series_instance_uid", "sop_instance_uid", "sop_class_uid",
        "transfer_syntax_uid", "modality", "station", "path", "size", "sha256", "file_sha256",
        "state", "refusal_code", "reason", "current", "source_ae", "called_ae", "source_address",
        "received_at", "settled_at",
    ),
    models.StoredReading: (
        "id", "instance_id", "bundle", "device_uid", "rows", "columns", "p_normal", "p_not_normal",
        "p_lung_opacity", "pneumonia", "finding", "threshold", "urgent", "boxes", "grey_mean",
        "grey_spread", "created_at",
    ),
    models.Report: (
        "id", "study_id", "revision", "bundle", "device_uid", "finding", "probability", "sentence",
        "priority", "recorded_at",
    ),
    models.ReportedInstance: ("report_id", "instance_id"),
    models.Result: (
        "id", "report_id", "kind", "sop_class_uid", "sop_instance_uid", "series_instance_uid",
        "transfer_syntax_uid", "path", "size", "file_sha256",
    ),
    models.Delivery: (
        "id", "result_id", "destination", "state", "status", "reason", "created_at", "sent_at",
        "first_sent_at", "commit_attempts",
    ),
    models.ShadowReading: (
        "id", "instance_id", "reading_id", "bundle", "device_uid", "p_normal", "p_not_normal",
        "p_lung_opacity", "pneumonia", "finding", "threshold", "boxes", "created_at",
    ),
    models.Event: ("id", "at", "study_id", "subject", "subject_id", "state", "reason"),
    models.Task: (
        "id", "kind", "subject_id", "lane", "priority", "state", "not_before", "token", "attempts",
        "created_at",
    ),
}  # fmt: skip
"""The columns of what is made, in an order that keeps foreign keys."""

Batch = dict[type[models.Base], list[Row]]


def studies(count: int, *, end: datetime, seed: int = 1) -> Iterator[Batch]:
    """Make `count` studies of the two years before `end`, as batches of rows."""
    random = np.random.default_rng(seed)
    arrivals = _arrivals(random, count, end)
    maker = _Maker(random, end)
    for first in range(0, count, BATCH):
        yield maker.batch(first, arrivals[first : first + BATCH], count)


def _arrivals(random: np.random.Generator, count: int, end: datetime) -> list[datetime]:
    """Draw when studies come: most by day, fewer at weekends; in order."""
    begin = end - timedelta(days=365 * YEARS)
    hours = int((end - begin).total_seconds() // 3600)
    starts = [begin + timedelta(hours=number) for number in range(hours)]
    weight = np.array(
        [(1.0 if 7 <= at.hour < 18 else 0.25) * (1.0 if at.weekday() < 5 else 0.5) for at in starts]
    )
    drawn = np.sort(random.choice(hours, count, p=weight / weight.sum()) + random.random(count))
    return [begin + timedelta(seconds=float(hour) * 3600) for hour in drawn]


@dataclass
class _Maker:
    random: np.random.Generator
    end: datetime
    ids: dict[type[models.Base], Iterator[int]] = field(
        default_factory=lambda: {table: itertools.count(1) for table in TABLES}
    )

    def batch(self, first: int, arrivals: list[datetime], count: int) -> Batch:
        """Make the rows of some studies."""
        draws = _Draws(self.random, len(arrivals), count)
        batch: Batch = {table: [] for table in TABLES}
        for place, arrival in enumerate(arrivals):
            _study(first + place, place, arrival, draws, self._adder(batch), self.end)
        return batch

    def _adder(self, batch: Batch) -> Callable[..., int]:
        def add(table: type[models.Base], *values: Any) -> int:
            if table is models.ReportedInstance:
                batch[table].append(values)
                return 0
            number = next(self.ids[table])
            batch[table].append((number, *values))
            return number

        return add


class _Draws:
    """All that chance decides of some studies, drawn at once."""

    def __init__(self, random: np.random.Generator, size: int, count: int) -> None:
        names, shares = list(SOURCES), np.array([share for share, _, _ in SOURCES.values()])
        self.source = [names[each] for each in random.choice(len(names), size, p=shares)]
        self.patient = random.integers(0, max(1, count // 2), size).tolist()
        self.chance: NDArray[Any] = random.random((size, 8))
        self.high = random.beta(5, 2.2, size).tolist()
        self.low = random.beta(1.1, 9, size).tolist()
        self.normal = random.beta(2, 1.4, size).tolist()
        self.grey = random.normal(0, 1, (size, 2)).tolist()
        self.seconds = random.lognormal(1.0, 0.5, (size, 3)).tolist()
        self.shadow = random.normal(0.01, 0.05, size).tolist()
        self.bytes = random.integers(4_000_000, 18_000_000, size).tolist()
        self.digest = [random.bytes(32).hex() for _ in range(size)]


def _study(
    number: int, place: int, at: datetime, draws: _Draws, add: Callable[..., int], end: datetime
) -> None:
    source = draws.source[place]
    _, rate, stations = SOURCES[source]
    chance = draws.chance[place].tolist()
    station = stations[int(chance[0] * len(stations))]
    elapsed = 1 - (end - at) / timedelta(days=365 * YEARS)
    bundle, threshold = next(
        (name, point) for name, since, point in reversed(BUNDLES) if elapsed >= since
    )
    drifts = station == DRIFTING and end - at < timedelta(days=DRIFT_DAYS)
    ill = chance[1] < rate * (1.5 if drifts else 1)
    probability = draws.high[place] if ill else draws.low[place]
    normal = (1 - probability) * draws.normal[place]
    refused, set_aside = chance[2] < 0.012, chance[2] > 0.9995
    read_at = at + timedelta(seconds=draws.seconds[place][0])
    last = at + timedelta(seconds=20) if chance[3] < 0.05 else at
    reported_at = max(read_at, last) + timedelta(seconds=3 + draws.seconds[place][1])
    if refused or set_aside:
        finding = "failed"
    elif probability >= threshold:
        finding = "opacity"
    else:
        finding = "normal" if normal >= 1 - probability - normal else "abnormal"
    said = None if finding == "failed" else probability
    reported = reported_at < end
    patient = draws.patient[place]
    uid = f"1.2.826.0.1.3680043.9999.{at:%Y%m%d}.{number}"
    study = add(
        models.Study,
        uid,
        f"P{patient:07}",
        f"{FAMILY_NAMES[patient % len(FAMILY_NAMES)]}^{GIVEN_NAMES[patient % len(GIVEN_NAMES)]}",
        f"{1930 + patient % 75}0{1 + patient % 9}1{patient % 10}",
        "FM"[patient % 2],
        f"A{number:08}",
        f"{at:%Y%m%d}",
        "Chest PA",
        source,
        "10.0.0.7",
        StudyState.REPORTED if reported else StudyState.OPEN,
        int(reported),
        "urgent" if finding == "opacity" and probability > 0.8 and reported else "routine",
        finding if reported else None,
        said if reported else None,
        _SENTENCES[finding] if reported else None,
        bundle if reported else None,
        station,
        at,
        last,
        reported_at if reported else None,
    )
    add(models.Event, at, study, "study", study, StudyState.OPEN, None)
    state = (
        InstanceState.REFUSED
        if refused
        else InstanceState.QUARANTINED
        if set_aside
        else InstanceState.READ
        if read_at < end
        else InstanceState.RECEIVED
    )
    films = [_film(add, study, f"{uid}.1", source, station, at, read_at, state, draws, place)]
    if last > at and last < end:
        lateral = InstanceState.REFUSED
        second = last + timedelta(seconds=1)
        films.append(
            _film(add, study, f"{uid}.2", source, station, last, second, lateral, draws, place)
        )
    if state is InstanceState.READ:
        _reading(
            add, films[0], place, draws, read_at, bundle, threshold, finding, normal, probability,
            drifts, end,
        )  # fmt: skip
    if state is InstanceState.QUARANTINED:
        add(models.Task, TaskKind.READ, films[0], "", 0, TaskState.QUARANTINED, at, 5, 5, at)
    elif state is InstanceState.RECEIVED:
        add(models.Task, TaskKind.READ, films[0], "", 0, TaskState.READY, at, 0, 0, at)
    if reported:
        _report(add, study, uid, films, finding, said, bundle, reported_at, draws, place, end)


def _film(
    add: Callable[..., int], study: int, uid: str, source: str, station: str, at: datetime,
    settled: datetime, state: InstanceState, draws: _Draws, place: int,
) -> int:  # fmt: skip
    code, reason = _LATERAL if state is InstanceState.REFUSED else (None, None)
    digest = draws.digest[place]
    film = add(
        models.Instance, study, f"{uid}.0", uid, _CLASS, _SYNTAX, "DX", station,
        f"films/{at:%Y/%m/%d}/{uid[24:]}.dcm", draws.bytes[place], digest, digest[::-1], state,
        code, reason, True, source, "HILUM", "10.0.0.7", at,
        None if state is InstanceState.RECEIVED else settled,
    )  # fmt: skip
    add(models.Event, at, study, "instance", film, InstanceState.RECEIVED, None)
    if state is not InstanceState.RECEIVED:
        add(models.Event, settled, study, "instance", film, state, reason)
    return film


def _reading(
    add: Callable[..., int], film: int, place: int, draws: _Draws, at: datetime, bundle: str,
    threshold: float, finding: str, normal: float, probability: float, drifts: bool, end: datetime,
) -> None:  # fmt: skip
    shift, wide = draws.grey[place]
    box = {"x": 300.0, "y": 420.0, "width": 310.0, "height": 280.0, "score": round(probability, 4)}
    boxes = json.dumps([box] if finding == "opacity" else [])
    others = (normal, 1 - probability - normal, probability)
    reading = add(
        models.StoredReading, film, bundle, "2.25.4711", 2500, 2048, *others, probability, finding,
        threshold, finding == "opacity" and probability > 0.8, boxes,
        125 + 9 * shift + (25 if drifts else 0), 60 + 4 * wide, at,
    )  # fmt: skip
    if end - at < timedelta(days=SHADOW_DAYS):
        beside = min(1.0, max(0.0, probability + draws.shadow[place]))
        add(
            models.ShadowReading, film, reading, SHADOW, "2.25.4712", 0.0, 1 - beside, beside,
            beside, "opacity" if beside >= threshold else "normal", threshold, "[]",
            at + timedelta(seconds=60),
        )  # fmt: skip


def _report(
    add: Callable[..., int], study: int, uid: str, films: list[int], finding: str,
    probability: float | None, bundle: str, at: datetime, draws: _Draws, place: int, end: datetime,
) -> None:  # fmt: skip
    urgent = "urgent" if probability is not None and probability > 0.8 else "routine"
    report = add(
        models.Report, study, 1, bundle, "2.25.4711", finding, probability, _SENTENCES[finding],
        urgent, at,
    )  # fmt: skip
    for film in films:
        add(models.ReportedInstance, report, film)
    add(models.Event, at, study, "study", study, StudyState.REPORTED, None)
    kinds = ("sr",) if finding == "failed" else ("sr", "sc")
    for kind in kinds:
        result = add(
            models.Result, report, kind, _OBJECTS[kind], f"{uid}.1.{kind == 'sc':d}", f"{uid}.9",
            _SYNTAX, f"results/{at:%Y/%m/%d}/{uid[24:]}.{kind}", 9_000, draws.digest[place],
        )  # fmt: skip
        for destination, wanted in DESTINATIONS.items():
            if kind in wanted:
                _delivery(add, study, result, destination, kind, at, draws, place, end)


def _delivery(
    add: Callable[..., int], study: int, result: int, destination: str, kind: str, at: datetime,
    draws: _Draws, place: int, end: datetime,
) -> None:  # fmt: skip
    sent_at = at + timedelta(seconds=draws.seconds[place][2] / 4)
    chance = draws.chance[place][4 if kind == "sr" else 5]
    stalled = destination == STALLED and end - at < timedelta(hours=STALLED_HOURS)
    reason = None
    if chance < 0.0007 and not stalled:
        state, reason = DeliveryState.REJECTED, "0xA900: the data set does not match the SOP class"
    else:
        waits = stalled or sent_at >= end
        state = DeliveryState.PENDING if waits else DeliveryState.SENT
    sent = sent_at if state is DeliveryState.SENT else None
    status = {DeliveryState.SENT: 0, DeliveryState.REJECTED: 0xA900}.get(state)
    delivery = add(
        models.Delivery, result, destination, state, status, reason, at, sent, sent, 0
    )  # fmt: skip
    add(models.Event, at, study, "delivery", delivery, DeliveryState.PENDING, None)
    if state is not DeliveryState.PENDING:
        add(models.Event, sent_at, study, "delivery", delivery, state, reason)
    else:
        add(
            models.Task, TaskKind.DELIVER, delivery, destination, 0, TaskState.READY,
            end + timedelta(minutes=5), 0, 3, at,
        )  # fmt: skip
