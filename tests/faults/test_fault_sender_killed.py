"""Fault 4: the sender is killed, also after the PACS has answered and before our commit."""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from db.session import Database
from tests.faults.ledger import Ledger
from tests.faults.reported import reported
from tests.faults.roles import scheduling
from tests.peers import hilum_process, wait_until
from tests.scp_service.scripted import Destination, Received
from tests.system.whole import Whole, destination, whole

# pynetdicom drops the socket of a connection that failed without closing it.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

KILLS = 50
STUDIES_A_KILL = 6
_LONGEST_MOMENT_SECONDS = 0.1
_LEASE_ENDS_SECONDS = 90.0


class Pacs:
    """A PACS that keeps what it gets, and tells when it has answered so many requests."""

    def __init__(self) -> None:
        self.copies: dict[str, set[bytes]] = defaultdict(set)
        self.answered = threading.Semaphore(0)

    def answer(self, received: Received) -> int:
        """Store an object."""
        self.copies[received.sop_instance_uid].add(received.encoded)
        self.answered.release()
        return 0x0000


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_kill_9_of_the_sender(
    database_url: str,
    kind: str,
    ledger: Ledger,
    rng: random.Random,
    times: Callable[[int], int],
    tmp_path: Path,
) -> None:
    """Every other time our database is locked, so that what the PACS has is surely not recorded."""
    kills = times(KILLS)
    pacs = Pacs()
    with (
        ledger.fault("4", kind) as tally,
        Destination(answer=pacs.answer) as server,
        whole(
            tmp_path,
            destinations=[destination(server.port, server.ae_title, objects=["sr"])],
            database_url=database_url,
        ) as service,
    ):
        made: set[str] = set()
        for kill in range(kills):
            made |= reported(service, ["pacs"], STUDIES_A_KILL)
            _one_life(service, pacs, rng, locked=bool(kill % 2))
            tally.times += 1
        begin = time.monotonic()
        with (
            scheduling(service),
            hilum_process(["deliver"], service.env, folder=service.folder),
        ):
            wait_until(lambda: _all_sent(service), "all to be sent", seconds=_LEASE_ENDS_SECONDS)
        tally.recovered(time.monotonic() - begin)
        tally.acknowledged = len(made)
        tally.lost = len(made - set(pacs.copies))
        tally.duplicated = len(set(pacs.copies) - made)
        assert all(len(copies) == 1 for copies in pacs.copies.values()), "not the same bytes"


def _one_life(service: Whole, pacs: Pacs, rng: random.Random, *, locked: bool) -> None:
    """Run a sender and kill it when the PACS has answered at least once."""
    while pacs.answered.acquire(blocking=False):
        pass
    with hilum_process(["deliver"], service.env, folder=service.folder) as sender:
        wait_until(lambda: pacs.answered.acquire(blocking=False), "an answer of the PACS")
        if locked:
            with _locked(service.database):
                pacs.answered.acquire(timeout=0.2)
                sender.kill()
        else:
            threading.Event().wait(rng.uniform(0, _LONGEST_MOMENT_SECONDS))
            sender.kill()


@contextmanager
def _locked(database: Database) -> Iterator[None]:
    """Let nobody record a delivery until the end of the block."""
    with database.write() as session:
        # SQLite's write lock comes with any first statement.
        lock = "SELECT 1" if database.is_sqlite else "LOCK TABLE delivery IN EXCLUSIVE MODE"
        session.execute(text(lock))
        yield


def _all_sent(service: Whole) -> bool:
    return {each.state for each in service.deliveries()} == {"sent"}
