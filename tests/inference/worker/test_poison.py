"""A film that brings down whoever works on it costs itself alone; what was found is reported."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless

from db import studies
from db.files import FileStore
from db.models import Event, Instance, Report, Result, StoredReading, Study
from db.session import Database
from inference.bundle import Bundle
from inference.predict import Raw
from settings import DicomDestination, Worker
from tests.db.makers import close_quiet, rows
from tests.faulty_decoder import FaultyDecoder
from tests.inference.bundles import small_bundle
from tests.inference.worker.work import receive_files, worker_settings, working
from tests.peers import wait_until
from training.phantoms import phantom, write_phantom_dicom

SIDE = 256
PACS = DicomDestination(
    name="pacs", ae_title="PACS", host="127.0.0.1", port=104, objects=("sr", "sc")
)


class Opacity:
    """What a worker needs of a predictor: it sees an opacity in every film."""

    runtime = "test"

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    def predict(self, inputs: NDArray[np.uint8]) -> list[Raw]:
        empty = np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
        return [Raw(np.array((0, 0, 9), np.float32), *empty) for _ in inputs]


def jpeg_2000_film(folder: Path) -> Path:
    path = folder / "film.dcm"
    write_phantom_dicom(phantom(np.random.default_rng(1), kind="opacity", size=SIDE), path)
    film = dcmread(path)
    film.compress(JPEG2000Lossless, generate_instance_uid=False)
    film.save_as(path)
    return path


@pytest.mark.parametrize("attempts", [1, 2])
def test_a_film_whose_overlay_crashes_is_reported_without_it_and_with_it_once_retried(
    attempts: int,
    database: Database,
    store: FileStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    film = jpeg_2000_film(tmp_path)
    decoder = FaultyDecoder(tmp_path / "library")
    monkeypatch.syspath_prepend(str(decoder.folder))
    reader = Opacity(small_bundle(tmp_path / "bundle", input_size=64))
    settings = worker_settings(
        destinations=(PACS,),
        study_quiet_seconds=600,
        worker=Worker(decode_processes=1, max_attempts=attempts),
    )
    receive_files(database, store, film)
    with working(database, store, reader, settings=settings):
        wait_until(lambda: rows(database, StoredReading), "a reading", seconds=60)
        decoder.fails({SIDE: "crash"})
        (image,) = rows(database, Instance)
        os.utime(store.path(image.path), (1, 1))  # a changed file is decoded anew
        close_quiet(database, 0)
        wait_until(lambda: rows(database, Report), "a report", seconds=60)
        [stopped] = [each.reason for each in rows(database, Event) if each.state == "stopped"]
        assert stopped == "the overlays are not sent: The decoder crashed with signal 6 (SIGABRT)"
        assert [each.kind for each in rows(database, Result)] == ["sr"]

        decoder.fails({})
        with database.write() as session:
            again = studies.retry(session, image.study_id, now=database.now(session))
        assert again == 1
        close_quiet(database, 0)
        wait_until(lambda: len(rows(database, Report)) == 2, "a revision", seconds=60)
    assert [each.kind for each in rows(database, Result)] == ["sr", "sr", "sc"]
    assert {each.finding for each in rows(database, Report)} == {"opacity"}


def test_what_the_database_does_not_take_keeps_nothing_else_waiting(
    database: Database, store: FileStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One of two studies whose files name the same film makes results that are there already."""
    film = jpeg_2000_film(tmp_path)
    other = tmp_path / "other.dcm"
    write_phantom_dicom(
        phantom(np.random.default_rng(2), kind="normal", size=SIDE), other, number=2
    )
    receive_files(database, store, film)
    receive_files(database, store, film, study="1.2.3")
    receive_files(database, store, other)
    reader = Opacity(small_bundle(tmp_path / "bundle", input_size=64))
    settings = worker_settings(worker=Worker(decode_processes=1, max_attempts=2))
    with working(database, store, reader, settings=settings):
        wait_until(
            lambda: sorted(each.state for each in rows(database, Study)).count("open") == 0,
            "an end of all studies",
            seconds=60,
        )
    states = sorted(each.state for each in rows(database, Study))
    assert states == ["failed", "reported", "reported"]
    [failed] = [each for each in rows(database, Event) if each.state == "failed"]
    assert failed.reason == "The database does not take what became of it (IntegrityError)."
    assert "Work waits" not in caplog.text
