"""How many workers one PostgreSQL can feed: films a second with 1 to 32 of them.

    python -m bench.growing

The network is stood in for by a sleep of the time that it takes for a film, and films are not
decoded, so that one machine can hold 32 workers. All that speaks with the database is as in the
worker: leases in batches, one ahead; the films' rows; readings with their events recorded in one
transaction; studies that have become quiet closed. Each worker has connections of its own.
Efficiency is the rate beside that of one worker times their number. The record is kept in runs/.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from sqlalchemy import func, select, text

from bench.common import keep, machine, table
from bench.processes import started
from db import images, intake, migrations, queue, studies
from db.models import Base, Instance, StoredReading
from db.session import Database
from db.states import InstanceState, TaskKind
from tests import peers
from tests.db.makers import film, stored_reading

_LEASE_SECONDS = 60.0
_CHUNK = 64
_QUIET_SECONDS = 3600.0
_MOST_PROCESSES = 8
"""More workers than this share processes, as threads that mostly sleep."""


def main() -> None:
    """Measure, print a table, keep the record."""
    arguments = _arguments()
    batch, seconds = arguments.batch, arguments.film_seconds
    rates: dict[int, float] = {}
    with tempfile.TemporaryDirectory(prefix="hilum-bench-") as name, peers.postgres() as server:
        url = server.database("growing")
        with closing(Database(url)) as database:
            migrations.upgrade(database, Path(name))
            for workers in arguments.workers:
                films = max(batch, round(arguments.seconds / seconds) // batch * batch) * workers
                _fill(database, films)
                rates[workers] = _rate(url, workers, films, batch, seconds)
                print(f"{workers} workers: {rates[workers]:.1f} films/s", flush=True)
    one = rates[arguments.workers[0]] / arguments.workers[0]
    about = machine()
    record = {"machine": about, "batch": batch, "film_seconds": seconds, "films_a_second": rates}
    path = keep("growing", record)
    print(f"\n{about['processor']}, {about['cores']} cores; {seconds * 1000:.0f} ms a film,")
    print(f"{batch} films a batch\n")
    rows = [
        [str(n), f"{rate:.1f}", f"{n / seconds:.1f}", f"{100 * rate / (n * one):.0f} %"]
        for n, rate in rates.items()
    ]
    print(table(["workers", "films a second", "the network alone", "efficiency"], rows))
    print(f"\nKept in {path}")


def _fill(database: Database, films: int) -> None:
    """Empty the database and have so many films received, each a study of its own."""
    names = ", ".join(f'"{each}"' for each in Base.metadata.tables)
    with database.write() as session:
        session.execute(text(f"TRUNCATE {names} RESTART IDENTITY CASCADE"))
    for first in range(0, films, _CHUNK):
        count = min(_CHUNK, films - first)
        with database.write() as session:
            now = database.now(session)
            intake.record_films(session, [film() for _ in range(count)], now)
    with database.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("ANALYZE"))


def _rate(url: str, workers: int, films: int, batch: int, seconds: float) -> float:
    """Return films a second from the start of all workers until every film is read."""
    processes = min(workers, _MOST_PROCESSES)
    with started(processes) as (pool, begin):
        shares = [range(first, workers, processes) for first in range(processes)]
        works = [(url, share, batch, seconds, begin) for share in shares]
        ends = pool.starmap(work_all, works, chunksize=1)
    with closing(Database(url)) as database, database.read() as session:
        read = session.scalar(
            select(func.count()).select_from(Instance).where(Instance.state == InstanceState.READ)
        )
    if read != films:
        raise RuntimeError(f"{films} films received, {read} read")
    return films / (max(ends) - begin)


def work_all(url: str, numbers: Sequence[int], batch: int, seconds: float, begin: float) -> float:
    """Have several workers read in threads; return when the last one was done."""
    with ThreadPoolExecutor(len(numbers)) as threads:
        works = [threads.submit(_work, url, n, batch, seconds, begin) for n in numbers]
        return max(work.result() for work in works)


def _work(url: str, number: int, batch: int, seconds: float, begin: float) -> float:
    """Read until no film is left; return when that was.

    As in the worker, the next batch is leased while the network reads, and what was read before is
    recorded meanwhile.
    """
    owner = f"bench:{number}"
    with closing(Database(url)) as database:
        taken = _Batches(database, owner, batch)
        time.sleep(max(0.0, begin - time.time()))
        free_at = time.time()
        before: list[queue.Lease] = []
        for leases in taken:
            free_at = max(free_at, time.time()) + seconds * len(leases)
            if before:
                taken.record(before)
            before = leases
            taken.ahead = taken.lease()
            time.sleep(max(0.0, free_at - time.time()))
        if before:
            taken.record(before)
    return time.time()


class _Batches:
    """The batches of one worker, leased one ahead."""

    def __init__(self, database: Database, owner: str, size: int) -> None:
        self._database = database
        self._owner = owner
        self._size = size
        self.ahead: list[queue.Lease] = []
        with database.read() as session:
            database.now(session)  # so that it is connected

    def __iter__(self) -> Iterator[list[queue.Lease]]:
        """Return batch after batch until there is none."""
        while leases := self.ahead or self.lease():
            yield leases

    def lease(self) -> list[queue.Lease]:
        """Lease a batch with its films' paths."""
        with self._database.write() as session:
            leases = queue.claim(
                session,
                TaskKind.READ,
                owner=self._owner,
                now=self._database.now(session),
                lease_seconds=_LEASE_SECONDS,
                limit=self._size,
            )
            ids = [lease.subject_id for lease in leases]
            found = select(Instance.id, Instance.path).where(Instance.id.in_(ids))
            if len(session.execute(found).all()) != len(leases):
                raise RuntimeError("a film has no row")
        return leases

    def record(self, leases: list[queue.Lease]) -> None:
        """Record what was read, as the worker does."""
        with self._database.write() as session:
            now = self._database.now(session)
            if len(queue.still_held(session, leases)) != len(leases):
                raise RuntimeError("a lease was lost")
            rows: list[tuple[queue.Lease, StoredReading]] = [
                (lease, stored_reading(lease.subject_id, now)) for lease in leases
            ]
            images.record_readings(session, rows, now=now)
            studies.close_quiet(session, quiet_seconds=_QUIET_SECONDS, now=now)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32])
    parser.add_argument("--batch", type=int, default=8, help="films that a worker leases at once")
    parser.add_argument("--film-seconds", type=float, default=0.1, help="the network's time")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each reads")
    parser.add_argument("--quick", action="store_true", help="1, 8 and 32 workers, 5 seconds each")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.workers, arguments.seconds = [1, 8, 32], 5.0
    return arguments


if __name__ == "__main__":
    main()
