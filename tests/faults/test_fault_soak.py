"""Fault 16: thousands of films through the whole service, whose memory must stay as it is."""

from __future__ import annotations

import os
import statistics
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from db.models import Instance, Task
from tests.faults.ledger import Ledger
from tests.faults.light_bundle import light_bundle
from tests.faults.reckoning import count
from tests.faults.sender import Sender
from tests.peers import ChildProcess, StoreSCP, wait_until
from tests.system.whole import Whole, destination, make_films, whole

FILMS = 3000
FILMS_VARIABLE = "HILUM_SOAK_FILMS"
CHUNK = 100
SIDE = 256
WARM_SHARE = 0.3
MOST_MEGABYTES_A_THOUSAND = 3.0
_LOOK_SECONDS = 1.0
_MEGABYTE = 1_000_000
_ENV = {"HILUM_WORKER__DECODE_PROCESSES": "1"}

Look = tuple[int, float]
"""How many films had been received, and megabytes that all processes of the service held."""


@pytest.mark.faults
@pytest.mark.timeout(36_000)
def test_a_soak(
    ledger: Ledger, times: Callable[[int], int], storescp: StoreSCP, tmp_path: Path
) -> None:
    """All roles, with a network that costs next to nothing; the slope is that of their memory."""
    films = int(os.environ.get(FILMS_VARIABLE, times(FILMS)))
    bundle = light_bundle(tmp_path / "bundle")
    to_pacs = destination(storescp.port, storescp.ae_title, objects=["sr"])
    env = {**_ENV, "HILUM_WORKER__BUNDLE": str(bundle)}
    [template] = make_films(tmp_path / "template", 1, kinds=["normal"], size=SIDE)
    acknowledged: set[str] = set()
    with (
        ledger.fault("16", "SQLite") as tally,
        whole(tmp_path, destinations=[to_pacs], env=env) as service,
        service.serving() as serve,
        watching(service, serve) as looks,
    ):
        for first in range(0, films, CHUNK):
            chunk = _copies(template, tmp_path / "chunk", min(CHUNK, films - first))
            sender = Sender(chunk, service.port)
            sender.send_all()
            acknowledged |= sender.acknowledged
            tally.times = len(acknowledged)
            wait_until(lambda: service.count(Task) < 2 * CHUNK, "the queue to move", seconds=300)
        service.wait_until_idle(films, seconds=600)
        count(tally, service, acknowledged, storescp)
        slope = _slope([look for look in looks if look[0] >= WARM_SHARE * films])
        first_held, last_held = looks[len(looks) // 3][1], looks[-1][1]
        tally.remark = (
            f"{slope:+.2f} MB a thousand films once warm"
            f" ({first_held:.0f} MB after a third of the time, {last_held:.0f} MB at the end)"
        )
        assert slope < MOST_MEGABYTES_A_THOUSAND


@contextmanager
def watching(service: Whole, serve: ChildProcess) -> Iterator[list[Look]]:
    """Look at the memory of all processes until the end of the block."""
    looks: list[Look] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(_LOOK_SECONDS):
            looks.append((service.count(Instance), _held(serve)))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield looks
    finally:
        over.set()
        thread.join()


def _held(serve: ChildProcess) -> float:
    """Return the memory that each process has for itself, added up, in megabytes."""
    total = 0
    for process in [psutil.Process(serve.pid), *serve.children()]:
        with suppress(psutil.NoSuchProcess):
            total += process.memory_info().rss
    return total / _MEGABYTE


def _slope(looks: list[Look]) -> float:
    """Return the growth in megabytes for each thousand films, by least squares."""
    films, held = zip(*looks, strict=True)
    return statistics.linear_regression(films, held).slope * 1000


def _copies(template: Path, folder: Path, number: int) -> list[Path]:
    """Write films of studies of their own over those of the last time."""
    folder.mkdir(exist_ok=True)
    film = dcmread(template)
    paths = []
    for each in range(number):
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            setattr(film, keyword, generate_uid())
        film.file_meta.MediaStorageSOPInstanceUID = film.SOPInstanceUID
        path = folder / f"{each}.dcm"
        film.save_as(path, enforce_file_format=True, overwrite=True)
        paths.append(path)
    return paths
