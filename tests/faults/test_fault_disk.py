"""Fault 5: there is no room, or no file may grow any further, while films come."""

from __future__ import annotations

import random
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.ledger import Ledger
from tests.faults.reckoning import count, settle
from tests.faults.roles import delivering, reading, scheduling
from tests.faults.steady import REJECTED, SteadySender
from tests.peers import StoreSCP, hilum_process
from tests.system.whole import destination, make_films, whole

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

ROUNDS = 10
FILMS_EACH = 16
SIDE = 256
RECOVERY_SECONDS = 10.0
_DISK = "24m"
_WATERMARK = 200_000
_ENV = {
    "HILUM_WORKER__DECODE_PROCESSES": "1",
    "HILUM_LISTENER__MIN_FREE_BYTES": str(_WATERMARK),
}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={_DISK}", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.faults
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", ["SQLite", "PostgreSQL"])
def test_a_full_disk(
    kind: str,
    request: pytest.FixtureRequest,
    disk: Path,
    ledger: Ledger,
    rng: random.Random,
    times: Callable[[int], int],
    storescp: StoreSCP,
    tmp_path: Path,
) -> None:
    """SQLite lies on the disk that is full, PostgreSQL does not; all roles work on meanwhile."""
    rounds = times(ROUNDS)
    films = make_films(tmp_path / "films", FILMS_EACH * rounds, size=SIDE)
    to_pacs = destination(storescp.port, storescp.ae_title, objects=["sr"])
    env = {**_ENV, "HILUM_DATA_DIR": str(disk / "data")}
    url = f"sqlite:///{disk / 'data' / 'hilum.sqlite'}"
    if kind == "PostgreSQL":
        url = request.getfixturevalue("fresh_postgres")()
    with (
        ledger.fault("5a", kind) as tally,
        whole(tmp_path, destinations=[to_pacs], env=env, database_url=url) as service,
        hilum_process(["listen"], service.env, folder=service.folder) as listener,
    ):
        listener.wait_for(service.answers)
        with reading(service), scheduling(service), delivering(service):
            sender = SteadySender(films, service.port)
            with sender.sending():
                for _ in range(rounds):
                    sender.wait_for_next()
                    ballast = _fill(disk, leave=rng.choice((0, 0, 70_000, _WATERMARK + 70_000)))
                    sender.wait_for_refusal()
                    ballast.unlink()
                    tally.recovered(sender.wait_for_next())
                    tally.times += 1
                sender.wait_for_all()
            service.wait_until_idle(len(films))
        listener.stop()
        settle(service)
        count(tally, service, sender.uids, storescp)
        refused = dict(sender.refused)
        assert set(refused) <= {"A700", REJECTED}, refused
        assert tally.recovery_seconds is not None
        assert tally.recovery_seconds <= RECOVERY_SECONDS
        tally.remark = _told(refused)


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_a_file_size_limit(
    ledger: Ledger,
    rng: random.Random,
    times: Callable[[int], int],
    tmp_path: Path,
) -> None:
    """`ulimit -f` of the running listener, as a quota would, below what a film needs."""
    rounds = times(ROUNDS)
    films = make_films(tmp_path / "films", FILMS_EACH * rounds, size=SIDE)
    size = films[0].stat().st_size
    with (
        ledger.fault("5b", "SQLite") as tally,
        whole(tmp_path) as service,
        hilum_process(["listen"], service.env, folder=service.folder) as listener,
    ):
        listener.wait_for(service.answers)
        sender = SteadySender(films, service.port)
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        with sender.sending():
            for _ in range(rounds):
                sender.wait_for_next()
                limit = rng.randint(0, size - 1)
                resource.prlimit(listener.pid, resource.RLIMIT_FSIZE, (limit, unlimited[1]))
                sender.wait_for_refusal()
                resource.prlimit(listener.pid, resource.RLIMIT_FSIZE, unlimited)
                tally.recovered(sender.wait_for_next())
                tally.times += 1
            sender.wait_for_all()
        listener.stop()
        settle(service)
        count(tally, service, sender.uids)
        assert set(sender.refused) == {"A700"}, dict(sender.refused)
        assert tally.recovery_seconds is not None
        assert tally.recovery_seconds <= RECOVERY_SECONDS
        tally.remark = _told(sender.refused)


def _fill(disk: Path, *, leave: int) -> Path:
    """Fill a disk but for so many bytes; return the file that does it."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        with suppress(OSError):
            while True:
                file.write(b"\0" * 65_536)
        file.truncate(max(0, file.tell() - leave))
    return ballast


def _told(refused: dict[str, int]) -> str:
    return ", ".join(f"{number} × {answer}" for answer, number in sorted(refused.items()))
