"""Films come in by DICOM, and the RIS is told of them by HL7: truly, and the urgent one first."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from sqlalchemy import select

from db.models import Report, Result, Study
from tests.inference.bundles import packaged_as
from tests.peers import dcmsend, run_hilum, wait_until
from tests.scp_service.destinations.hl7_receivers import (
    ScriptedReceiver,
    acknowledgement,
    checked,
    control_id_of,
)
from tests.system.whole import Whole, make_films, whole

PRESENT, ABSENT, UNDETERMINED = "52101004", "272519000", "373068000"
URGENT, ROUTINE = "A", "R"


@dataclass(frozen=True, slots=True)
class Film:
    """A film, its header, and the probability of pneumonia that `hilum read` gives it, if any."""

    path: Path
    header: Dataset
    probability: float | None


@dataclass(frozen=True, slots=True)
class Told:
    """What a message tells the RIS: `observed` maps codes to values."""

    accession: str
    patient: str
    priority: tuple[str, str, str]
    observed: dict[str, str]
    status: str


def read(folder: Path, count: int, *kinds: Any) -> list[Film]:
    """Films with the probabilities that `hilum read` prints, rising."""
    paths = make_films(folder, count, kinds=kinds)
    said = run_hilum(["read", *paths, "--json"], folder=folder).stdout
    probabilities = {line["path"]: line["pneumonia"] for line in map(json.loads, said.splitlines())}
    films = [
        Film(path, dcmread(path, stop_before_pixels=True), probabilities[str(path)])
        for path in paths
    ]
    return sorted(films, key=lambda film: film.probability or 0)


@contextmanager
def receiving() -> Iterator[tuple[ScriptedReceiver, threading.Event]]:
    """Run a receiver that acknowledges nothing until the event is set."""
    go = threading.Event()

    def acknowledge(block: bytes) -> bytes:
        go.wait(120)
        return acknowledgement("AA", control_id_of(block))

    with ScriptedReceiver(acknowledge) as receiver:
        try:
            yield receiver, go
        finally:
            go.set()


def told(block: bytes) -> Told:
    """Read a message, which must be valid by the standard."""
    result = checked(block.decode()).oru_r01_patient_result
    order = result.oru_r01_order_observation
    observed = {each.obx.obx_3.value.split("^")[0]: each.obx for each in order.oru_r01_observation}
    obr, quantity = order.obr, order.oru_r01_timing_qty.tq1.tq1_9.value
    assert obr.obr_3.value == obr.obr_18.value
    return Told(
        obr.obr_3.value,
        result.oru_r01_patient.pid.pid_3.value,
        (obr.obr_5.value, obr.obr_27.value.split("^")[5], quantity),
        {code: each.obx_5.value.split("^")[0] for code, each in observed.items()},
        observed["233604007"].obx_11.value,
    )


def send(service: Whole, film: Film) -> None:
    """Send a film and wait until its report is made and waits to be told."""
    assert dcmsend([film.path], service.port).accepted == 1
    wait_until(lambda: study_of(service, film) is not None, "a report", seconds=60)


def study_of(service: Whole, film: Film) -> tuple[Study, str] | None:
    """A film's study once it is reported, and the UID of its Structured Report."""
    uid = str(film.header.StudyInstanceUID)
    with service.database.read() as session:
        query = select(Study, Result.sop_instance_uid).join(Report, Report.study_id == Study.id)
        query = query.join(Result).where(Result.kind == "sr", Study.study_instance_uid == uid)
        found = session.execute(query).one_or_none()
    return None if found is None else (found[0], found[1])


def expect(service: Whole, film: Film, said: Told, presence: str, priority: str) -> None:
    """A message tells the truth about a film: whose it is, what was found, how urgent it is."""
    found = study_of(service, film)
    assert found is not None
    study, report_uid = found
    assert said.accession == film.header.AccessionNumber
    assert said.patient == film.header.PatientID
    assert said.priority == (priority,) * 3
    assert said.observed["113014"] == film.header.StudyInstanceUID
    assert said.observed["233604007"] == presence
    assert said.observed["121106"] == study.sentence
    assert said.observed["SR_INSTANCE_UID"] == report_uid
    if film.probability is None:
        assert (said.status, "122157" in said.observed) == ("X", False)
    else:
        percent = float(said.observed["122157"])
        assert (said.status, percent) == ("P", pytest.approx(100 * film.probability, abs=0.1))


def test_the_ris_is_told_what_every_film_shows_and_first_of_the_urgent_one(tmp_path: Path) -> None:
    """A negative is being sent while a lateral view, a positive and an urgent one queue up."""
    films = read(tmp_path / "films", 4, "lateral", "normal", "abnormal", "opacity")
    lateral, low, middle, high = films
    known = [film.probability for film in films if film.probability is not None]
    positive, urgent = ((below + above) / 2 for below, above in pairwise(known))
    points = {"youden": {"threshold": positive, "sensitivity": 0.5, "specificity": 0.5}}
    packaged_as(tmp_path / "bundle", "points", operating_points=points)
    with receiving() as (receiver, go):
        ris = {"name": "ris", "kind": "hl7", "host": "127.0.0.1", "port": receiver.port}
        env = {
            "HILUM_WORKER__BUNDLE": str(tmp_path / "bundle"),
            "HILUM_PRIORITY__OPERATING_POINT": str(urgent),
            "HILUM_DELIVERY__BATCH_SIZE": "1",
            "HILUM_DELIVERY__TIMEOUT_SECONDS": "120",
        }
        with whole(tmp_path, destinations=[ris], env=env) as service, service.serving():
            send(service, low)
            wait_until(lambda: receiver.received, "the first message")
            for film in (lateral, middle, high):
                send(service, film)
            go.set()
            service.wait_until_idle(4)
            messages = [told(block) for block in receiver.received]
            assert len(messages) == 4
            expect(service, low, messages[0], ABSENT, ROUTINE)
            expect(service, high, messages[1], PRESENT, URGENT)
            expect(service, lateral, messages[2], UNDETERMINED, ROUTINE)
            expect(service, middle, messages[3], PRESENT, ROUTINE)
