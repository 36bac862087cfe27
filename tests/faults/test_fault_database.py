"""Fault 9: the database is locked, or its server stops as by a power cut, while films come."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from db import migrations
from db.session import Database
from db.sqlite import BUSY_TIMEOUT_SECONDS
from tests import peers
from tests.faults.ledger import Ledger
from tests.faults.reckoning import count, settle
from tests.faults.roles import delivering, reading, receiving, scheduling
from tests.faults.steady import SteadySender
from tests.peers import StoreSCP, hilum_process
from tests.system.whole import Whole, destination, make_films, whole

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

LOCKS = 10
STOPS = 10
FILMS_EACH = 20
SIDE = 256
_LONGEST_LOCK_SECONDS = 3.0
_ENV = {"HILUM_WORKER__DECODE_PROCESSES": "1"}


@contextmanager
def _everything(service: Whole) -> Iterator[None]:
    with reading(service), scheduling(service), delivering(service):
        yield


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_a_locked_database(
    database_url: str,
    kind: str,
    ledger: Ledger,
    rng: random.Random,
    times: Callable[[int], int],
    storescp: StoreSCP,
    tmp_path: Path,
) -> None:
    """While it is locked nothing is acknowledged; once it stays locked for over a minute."""
    locks = [rng.uniform(0.5, _LONGEST_LOCK_SECONDS) for _ in range(times(LOCKS))]
    locks.append(BUSY_TIMEOUT_SECONDS + 5.0)
    rng.shuffle(locks)
    films = make_films(tmp_path / "films", FILMS_EACH * len(locks), size=SIDE)
    to_pacs = destination(storescp.port, storescp.ae_title, objects=["sr"])
    with (
        ledger.fault("9a", kind) as tally,
        whole(tmp_path, destinations=[to_pacs], env=_ENV, database_url=database_url) as service,
        receiving(service),
        _everything(service),
    ):
        sender = SteadySender(films, service.port)
        with sender.sending():
            for seconds in locks:
                sender.wait_for_next()
                with _locked(service.database) as since:
                    threading.Event().wait(seconds)
                    until = time.monotonic()
                during = [each for each in sender.acknowledged if since < each.at < until]
                assert during == [], "acknowledged without a commit"
                tally.recovered(sender.wait_for_next())
                tally.times += 1
            sender.wait_for_all()
        service.wait_until_idle(len(films))
        count(tally, service, sender.uids, storescp)
        refused = sum(sender.refused.values())
        tally.remark = f"once for {max(locks):.0f} s; {refused} answers A700 or no association"


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_a_server_that_stops_at_once(
    ledger: Ledger,
    rng: random.Random,
    times: Callable[[int], int],
    storescp: StoreSCP,
    tmp_path: Path,
) -> None:
    """`pg_ctl stop -m immediate` is what a power cut is to PostgreSQL: it recovers from its log."""
    stops = times(STOPS)
    films = make_films(tmp_path / "films", FILMS_EACH * stops, size=SIDE)
    to_pacs = destination(storescp.port, storescp.ae_title, objects=["sr"])
    with ledger.fault("9b", "PostgreSQL") as tally, peers.postgres() as server:
        url = server.database("faults")
        with closing(Database(url)) as database:
            migrations.upgrade(database, tmp_path)
        with (
            whole(tmp_path, destinations=[to_pacs], env=_ENV, database_url=url) as service,
            hilum_process(["listen"], service.env, folder=service.folder) as listener,
            _everything(service),
        ):
            listener.wait_for(service.answers)
            sender = SteadySender(films, service.port)
            with sender.sending():
                for _ in range(stops):
                    sender.wait_for_next()
                    threading.Event().wait(rng.uniform(0, 0.3))
                    server.stop_at_once()
                    threading.Event().wait(rng.uniform(0, _LONGEST_LOCK_SECONDS))
                    server.start()
                    tally.times += 1
                    tally.recovered(sender.wait_for_next())
                sender.wait_for_all()
            service.wait_until_idle(len(films))
            listener.stop()
            settle(service)
            count(tally, service, sender.uids, storescp)


@contextmanager
def _locked(database: Database) -> Iterator[float]:
    """Let nobody write until the end of the block; yields since when, with what was under way."""
    with database.write() as session:
        # SQLite's write lock comes with any first statement. Of PostgreSQL one table is enough that
        # each film writes to: whoever waits for a second one may wait for us for ever.
        lock = "SELECT 1" if database.is_sqlite else "LOCK TABLE study IN EXCLUSIVE MODE"
        session.execute(text(lock))
        # What was committed just before may still be on its way to the sender.
        threading.Event().wait(0.2)
        yield time.monotonic()
