"""Fault 16: thousands of films through the whole service, whose memory must stay as it is."""

from __future__ import annotations

import csv
import os
import statistics
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
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
WARM_FILMS = 1500
"""A worker's child remembers 64 MiB of images, 1,024 of this size; SQLite fills its page caches."""
MOST_MEGABYTES_A_THOUSAND = 1.0
_LOOK_SECONDS = 1.0
_MEGABYTE = 1_000_000
_ENV = {"HILUM_WORKER__DECODE_PROCESSES": "1"}
_ROLES = ("serve", "listen", "work", "deliver", "schedule")
_CHILDREN = "decode"
"""The worker's children."""


@dataclass(frozen=True, slots=True)
class Look:
    """How many films had been received, and megabytes that each process of the service held."""

    films: int
    held: Mapping[str, float]

    @property
    def total(self) -> float:
        """What all of them held together."""
        return sum(self.held.values())


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
        _keep(looks, ledger.folder / "soak.csv")
        warm = [look for look in looks if look.films >= min(WARM_FILMS, films // 2)]
        slope = _slope(warm, lambda look: look.total)
        each = ", ".join(f"{name} {_slope(warm, _of(name)):+.2f}" for name in warm[-1].held)
        tally.remark = (
            f"{slope:+.2f} MB a thousand films once warm ({each});"
            f" {warm[0].total:.0f} MB then, {warm[-1].total:.0f} MB at the end"
        )
        assert slope < MOST_MEGABYTES_A_THOUSAND


@contextmanager
def watching(service: Whole, serve: ChildProcess) -> Iterator[list[Look]]:
    """Look at the memory of all processes until the end of the block."""
    looks: list[Look] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(_LOOK_SECONDS):
            looks.append(Look(service.count(Instance), _held(serve)))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield looks
    finally:
        over.set()
        thread.join()


def _held(serve: ChildProcess) -> dict[str, float]:
    """Return the memory that each process has for itself, in megabytes, by its role."""
    held = dict.fromkeys((*_ROLES, _CHILDREN), 0.0)
    for process in [psutil.Process(serve.pid), *serve.children()]:
        with suppress(psutil.NoSuchProcess):
            role = "".join(process.cmdline()[-1:])
            name = role if role in _ROLES else _CHILDREN
            held[name] += process.memory_info().rss / _MEGABYTE
    return held


def _keep(looks: Sequence[Look], file: Path) -> None:
    """Write down what each process held at every look."""
    with file.open("w", newline="", encoding="utf-8") as opened:
        table = csv.DictWriter(opened, ["films", *_ROLES, _CHILDREN])
        table.writeheader()
        for look in looks:
            table.writerow({"films": look.films} | {k: f"{v:.3f}" for k, v in look.held.items()})


def _of(name: str) -> Callable[[Look], float]:
    return lambda look: look.held[name]


def _slope(looks: Sequence[Look], held: Callable[[Look], float]) -> float:
    """Return the growth in megabytes for each thousand films, by least squares."""
    films = [look.films for look in looks]
    return statistics.linear_regression(films, list(map(held, looks))).slope * 1000


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
