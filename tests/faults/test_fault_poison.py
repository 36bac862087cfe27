"""Faults 6 and 15a: films that crash, stall or swell their decoder, are cut off, lie or are odd."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import JPEG2000Lossless, generate_uid
from sqlalchemy import select

from db.models import Instance, Study
from db.states import InstanceState, StudyState
from tests.faults.ledger import Ledger
from tests.faults.roles import delivering, reading, receiving, scheduling
from tests.faulty_decoder import FaultyDecoder
from tests.peers import StoreSCP, dcmsend, wait_until
from tests.system.whole import Whole, destination, make_films, whole

POISONED = 12
GOOD_EACH = 1
BAD = 40
SIDE = 256
TIMEOUT_SECONDS = 5
MOST_ATTEMPTS = 3
DELAY_SECONDS = 60.0
MOST_MEGABYTES = 2000.0
_SIDES = {260: "crash", 264: "hang", 268: "bomb"}
_ENV = {
    "HILUM_WORKER__DECODE_PROCESSES": "1",
    "HILUM_WORKER__DECODE_TIMEOUT_SECONDS": str(TIMEOUT_SECONDS),
    "HILUM_WORKER__MAX_ATTEMPTS": str(MOST_ATTEMPTS),
}


@contextmanager
def _everything(service: Whole) -> Iterator[None]:
    with receiving(service), reading(service), scheduling(service), delivering(service):
        yield


@pytest.mark.faults
@pytest.mark.timeout(1200)
def test_films_that_bring_their_decoder_down(
    database_url: str,
    kind: str,
    ledger: Ledger,
    rng: random.Random,
    times: Callable[[int], int],
    storescp: StoreSCP,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The decoder of JPEG 2000 aborts, hangs or takes all memory; a good film comes after each."""
    decoder = FaultyDecoder(tmp_path / "library")
    monkeypatch.syspath_prepend(str(decoder.folder))
    decoder.fails(_SIDES)
    sides = [*_SIDES] * max(1, times(POISONED) // len(_SIDES))
    rng.shuffle(sides)
    poison = [_compressed(tmp_path, number, side) for number, side in enumerate(sides)]
    good = make_films(tmp_path / "good", len(poison), size=SIDE)
    to_pacs = destination(storescp.port, storescp.ae_title, objects=["sr"])
    with (
        ledger.fault("6", kind) as tally,
        whole(tmp_path, destinations=[to_pacs], env=_ENV, database_url=database_url) as service,
        _everything(service),
        _most_memory() as most,
    ):
        for bad, next_film in zip(poison, good, strict=True):
            assert dcmsend([bad], service.port).accepted == 1
            tally.times += 1
            assert dcmsend([next_film], service.port).accepted == 1
            begin = time.monotonic()
            wait_until(
                lambda film=next_film: _state(service, film) is InstanceState.READ,
                "the next film to be read",
                seconds=DELAY_SECONDS,
            )
            tally.recovered(time.monotonic() - begin)
        _wait_until_settled(service, 2 * len(poison))
        states = [_state(service, each) for each in poison]
        assert set(states) <= {InstanceState.QUARANTINED, InstanceState.REFUSED}
        tally.acknowledged = 2 * len(poison)
        tally.lost = len(poison) + len(good) - len(storescp.files())
        tally.remark = f"{max(most):.0f} MB at most in all children"
        assert max(most) < MOST_MEGABYTES


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_films_that_are_cut_off_lie_or_are_odd(
    database_url: str,
    kind: str,
    ledger: Ledger,
    rng: random.Random,
    times: Callable[[int], int],
    storescp: StoreSCP,
    tmp_path: Path,
) -> None:
    """Each that is taken ends in a report that says why; each that is not gets a status."""
    films = make_films(tmp_path / "films", times(BAD), size=SIDE)
    spoil = [_cut, _absurd_frames, _no_rows, _private_class, _wrong_bits, _garbage]
    to_pacs = destination(storescp.port, storescp.ae_title, objects=["sr"])
    with (
        ledger.fault("15a", kind) as tally,
        whole(tmp_path, destinations=[to_pacs], env=_ENV, database_url=database_url) as service,
        _everything(service),
    ):
        taken = 0
        for number, film in enumerate(films):
            dataset = dcmread(film)
            spoil[number % len(spoil)](dataset, rng)
            dataset.save_as(film)
            taken += dcmsend([film], service.port).accepted
            tally.times += 1
        _wait_until_settled(service, taken)
        tally.acknowledged = taken
        with service.database.read() as session:
            images = list(session.scalars(select(Instance)))
            findings = list(session.scalars(select(Study.finding)))
        assert all(each.reason for each in images)
        assert findings == ["failed"] * taken
        tally.lost = taken - len(storescp.files())
        tally.remark = f"{len(films) - taken} refused in negotiation or by status"


def _compressed(folder: Path, number: int, side: int) -> Path:
    [path] = make_films(folder / f"poison{number}", 1, size=side)
    film = dcmread(path)
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(film, keyword, generate_uid())
    film.file_meta.MediaStorageSOPInstanceUID = film.SOPInstanceUID
    film.compress(JPEG2000Lossless, generate_instance_uid=False)
    film.save_as(path)
    return path


def _cut(film: Dataset, rng: random.Random) -> None:
    film.PixelData = film.PixelData[: rng.randrange(0, len(film.PixelData) - 2, 2)]


def _absurd_frames(film: Dataset, rng: random.Random) -> None:
    film.NumberOfFrames = rng.choice((2**31 - 1, 100_000, 17))


def _no_rows(film: Dataset, rng: random.Random) -> None:
    film.Rows = rng.choice((0, 1, 65_535))


def _private_class(film: Dataset, _: random.Random) -> None:
    film.SOPClassUID = film.file_meta.MediaStorageSOPClassUID = "1.2.826.0.1.3680043.9999.1"


def _wrong_bits(film: Dataset, rng: random.Random) -> None:
    film.BitsAllocated = rng.choice((1, 7, 64))


def _garbage(film: Dataset, rng: random.Random) -> None:
    film.PhotometricInterpretation = rng.choice(("PALETTE COLOR", "HSV", "NONE"))
    film.SamplesPerPixel = rng.choice((0, 4))


def _state(service: Whole, film: Path) -> InstanceState | None:
    uid = str(dcmread(film, stop_before_pixels=True).SOPInstanceUID)
    query = select(Instance.state).where(Instance.sop_instance_uid == uid)
    with service.database.read() as session:
        return session.scalar(query)


def _wait_until_settled(service: Whole, studies: int) -> None:
    """Wait until so many studies have a report, which may say that nothing could be read."""

    def settled() -> bool:
        with service.database.read() as session:
            states = list(session.scalars(select(Study.state)))
        sent = {each.state for each in service.deliveries()}
        reported = len(states) == studies and set(states) <= {StudyState.REPORTED}
        return reported and sent <= {"sent"}

    wait_until(settled, f"{studies} reported studies", seconds=300)


@contextmanager
def _most_memory() -> Iterator[list[float]]:
    """Look at the memory of all child processes, in megabytes, until the end of the block."""
    seen = [0.0]
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.1):
            total = 0
            for process in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    total += process.memory_info().rss
            seen.append(total / 1_000_000)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()
