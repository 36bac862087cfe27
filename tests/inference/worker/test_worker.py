"""The worker in this process, on a real database and with the real network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from sqlalchemy.exc import OperationalError

from db import images, queue
from db.files import FileStore
from db.models import (
    Delivery,
    Event,
    Instance,
    Report,
    Result,
    StoredReading,
    Study,
    Task,
    TaskKind,
)
from db.recovery import return_lost
from db.session import Database
from inference.manifest import KINDS, FilmKinds, Metric
from inference.predict import Predictor, Raw
from tests.db.makers import close_quiet, rows
from tests.inference.worker.work import receive, reported, worker_settings, working
from tests.peers import wait_until


def test_films_are_read_and_studies_reported(
    database: Database, store: FileStore, predictor: Predictor, tmp_path: Path
) -> None:
    receive(database, store, tmp_path, "normal", "lateral")
    with working(database, store, predictor):
        wait_until(lambda: reported(database, 2), "two reports", seconds=200)
    assert sorted(each.state for each in rows(database, Instance)) == ["read", "refused"]
    assert len(rows(database, StoredReading)) == 1
    assert {each.state for each in rows(database, Study)} == {"reported"}
    for result in rows(database, Result):
        assert store.digest(result.path) == result.file_sha256


def test_a_film_that_the_network_sees_to_be_none_is_refused_and_reported_as_not_analysed(
    database: Database,
    store: FileStore,
    predictor: Predictor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    figures = {"refused": Metric(0.9, 0.8, 1.0, "made up")}
    bundle = replace(predictor.bundle, film_kinds=FilmKinds(KINDS, 0.5, 0.9, figures))
    seen = np.array([0, 0, 0, 9, 0], np.float32)

    def predict(inputs: NDArray[np.uint8]) -> list[Raw]:
        return [replace(raw, kinds=seen) for raw in Predictor.predict(predictor, inputs)]

    monkeypatch.setattr(predictor, "bundle", bundle)
    monkeypatch.setattr(predictor, "predict", predict)
    receive(database, store, tmp_path, "normal")
    with working(database, store, predictor):
        wait_until(lambda: reported(database, 1), "a report", seconds=60)
    (image,), (study,) = rows(database, Instance), rows(database, Study)
    assert (image.state, image.refusal_code) == ("refused", "view")
    assert "lies on its side or is upside down" in image.reason
    assert rows(database, StoredReading) == []
    assert (study.finding, study.probability) == ("failed", None)
    assert study.sentence.startswith(f"Not analysed ({image.reason.rstrip('.')}")


def test_a_result_that_is_not_valid_is_stopped_told_and_holds_up_no_other(
    database: Database,
    store: FileStore,
    predictor: Predictor,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    receive(database, store, tmp_path, "normal")
    with working(database, store, predictor, settings=worker_settings(study_quiet_seconds=600)):
        wait_until(lambda: rows(database, StoredReading), "a reading", seconds=200)
        (image,) = rows(database, Instance)
        film = store.path(image.path)
        film.write_bytes(film.read_bytes()[:-1000])  # the header stays, the pixels cannot be shown
        close_quiet(database, 0)
        wait_until(lambda: reported(database, 1), "a report", seconds=60)
    assert [each.kind for each in rows(database, Result)] == ["sr"]
    (study,) = rows(database, Study)
    assert study.state == "reported"
    (stopped,) = [each for each in rows(database, Event) if each.state == "stopped"]
    assert (stopped.subject, stopped.study_id) == ("study", study.id)
    assert "the overlay of image 1 is not sent: " in stopped.reason
    assert f"A result was stopped: {stopped.reason}." in caplog.messages


def test_every_destination_gets_the_overlays_of_its_own_look(
    database: Database, store: FileStore, predictor: Predictor, tmp_path: Path
) -> None:
    there = {"ae_title": "PACS", "host": "127.0.0.1", "port": 104}
    destinations = [
        {"name": "pacs", **there},
        {"name": "viewer", "sc_max_side": 128, "sc_colour": "cyan", **there},
        {"name": "worklist", "objects": ["sr"], **there},
        {"name": "boxes", "objects": ["gsps", "sc"], "sc_images": "with_boxes", **there},
    ]
    receive(database, store, tmp_path, "normal")
    settings = worker_settings(destinations=destinations)
    with working(database, store, predictor, settings=settings):
        wait_until(lambda: rows(database, Report), "a report", seconds=200)
    results = {each.id: each for each in rows(database, Result)}
    got: dict[str, list[int]] = {each["name"]: [] for each in destinations}
    for delivery in rows(database, Delivery):
        got[delivery.destination].append(delivery.result_id)
    sr, usual, small = (each.id for each in rows(database, Result))
    assert got == {"pacs": [sr, usual], "viewer": [sr, small], "worklist": [sr], "boxes": []}
    sizes = {key: dcmread(store.path(results[key].path)).Rows for key in (usual, small)}
    assert sizes == {usual: 512, small: 128}
    (reading,) = rows(database, StoredReading)
    assert 0 < reading.grey_spread < reading.grey_mean < 255


def test_a_database_that_fails_for_a_while_costs_no_reading(
    database: Database,
    store: FileStore,
    predictor: Predictor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was read is recorded when the database is back, on the first attempt."""
    receive(database, store, tmp_path, "normal")
    record_readings, failures = images.record_readings, iter([True, True])

    def fail_twice(*arguments: Any, **keywords: Any) -> None:
        if next(failures, False):
            raise OperationalError("INSERT", {}, Exception("the disk is away"))
        record_readings(*arguments, **keywords)

    monkeypatch.setattr(images, "record_readings", fail_twice)
    monkeypatch.setattr("inference.worker.loop._DATABASE_WAIT_SECONDS", 0.05)
    with working(database, store, predictor):
        wait_until(lambda: reported(database, 1), "a report", seconds=200)
    assert next(failures, None) is None
    assert len(rows(database, StoredReading)) == 1


def test_what_lost_its_worker_is_read_and_reported_while_nothing_else_is(
    database: Database,
    store: FileStore,
    predictor: Predictor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of many films that a dead worker had, only one that kills workers dies with the next."""
    receive(database, store, tmp_path, *["normal"] * 3)
    with database.write() as session:
        now = database.now(session)
        held = queue.claim(session, TaskKind.READ, owner="x", now=now, lease_seconds=-1, limit=2)
        assert return_lost(session, owner="y", max_attempts=3, now=now) == 2
    lost = {(lease.kind, lease.subject_id) for lease in held}
    together: list[set[tuple[TaskKind, int]]] = []
    real = predictor.predict

    def predict(inputs: NDArray[np.uint8]) -> list[Raw]:
        leased = [each for each in rows(database, Task) if each.state == "leased"]
        together.append({(each.kind, each.subject_id) for each in leased})
        return real(inputs)

    monkeypatch.setattr(predictor, "predict", predict)
    with working(database, store, predictor):
        wait_until(lambda: reported(database, 3), "all reports", seconds=200)
    first, second, third = together
    assert len(first) == len(second) == 1
    assert first | second == lost
    assert not third & lost


def test_what_is_not_done_is_given_back_untouched(
    database: Database, store: FileStore, predictor: Predictor, tmp_path: Path
) -> None:
    """A worker that is stopped leaves its tasks ready, and the attempt does not count."""
    receive(database, store, tmp_path, *["normal"] * 6)
    with working(database, store, predictor):
        wait_until(lambda: any(each.owner for each in rows(database, Task)), "a lease", seconds=200)
    for task in rows(database, Task):
        assert (task.state, task.attempts, task.owner) == ("ready", 0, None)
    done = len(rows(database, StoredReading)) + len(rows(database, Task))
    assert done >= 6
