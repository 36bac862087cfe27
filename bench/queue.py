"""Tasks a second: asked for, leased and finished; beside Celery on Redis and procrastinate.

    python -m bench.queue

measures `db.queue` on SQLite and on PostgreSQL with one and with four worker processes, in batches
of 16 as the worker uses it, on an empty database, and again after a million tasks have passed
through the table, beside a million rows of history. Beside it, both with tasks that do nothing:
Celery on a Redis that keeps every command at once, as a database does (`appendfsync always`; needs
`redis-server`), and procrastinate on the same PostgreSQL server. The record is kept in runs/.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from contextlib import closing
from pathlib import Path

from sqlalchemy import func, select, text

from bench.common import keep, machine, median, table
from bench.processes import started
from db import migrations, queue
from db.models import Task
from db.session import Database
from db.states import TaskKind
from tests import peers

BATCH = 16
LEASE_SECONDS = 60.0
_HISTORY = {
    True: """
        WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :rows)
        INSERT INTO event (at, subject, subject_id, state)
        SELECT '2026-01-01 00:00:00.000000', 'instance', n, 'read' FROM numbers""",
    False: """
        INSERT INTO event (at, subject, subject_id, state)
        SELECT now(), 'instance', n, 'read' FROM generate_series(1, :rows) n""",
}
_CHURN = {
    True: """
        WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :rows)
        INSERT INTO task (kind, subject_id, lane, priority, state, not_before, token, attempts,
            created_at)
        SELECT 'read', n, '', 0, 'ready', '2026-01-01 00:00:00.000000', 0, 0,
            '2026-01-01 00:00:00.000000' FROM numbers""",
    False: """
        INSERT INTO task (kind, subject_id, lane, priority, state, not_before, token, attempts,
            created_at)
        SELECT 'read', n, '', 0, 'ready', now(), 0, 0, now() FROM generate_series(1, :rows) n""",
}


def main() -> None:
    """Measure, print a table, keep the record."""
    arguments = _arguments()
    from bench.queue_peers import celery_rate, procrastinate_rate  # they need `hilum[bench]`

    tasks, past, rounds = arguments.tasks, arguments.past, range(arguments.rounds)
    rates: dict[str, dict[str, float]] = {}
    others: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="hilum-bench-") as name, peers.postgres() as server:
        folder = Path(name)
        urls = {
            "SQLite": f"sqlite:///{folder / 'queue.sqlite'}",
            "PostgreSQL": server.database("queue"),
        }
        for kind, url in urls.items():
            with closing(Database(url)) as database:
                migrations.upgrade(database, folder)
                for beside in ("empty", f"after {past:,}"):
                    if beside != "empty":
                        _pass_through(database, past)
                    for workers in (1, 4):
                        rate = median(_rate(url, workers, tasks) for _ in rounds)
                        print(f"{kind}, {beside}, {workers}: {rate:.0f}", flush=True)
                        rates.setdefault(f"db.queue, {kind}", {})[f"{beside}, {workers}"] = rate
        address = server.database("procrastinate")
        for workers in (1, 4):
            column = f"empty, {workers}"
            for _ in rounds:
                rate = procrastinate_rate(address, workers, tasks, BATCH)
                others.setdefault(("procrastinate, PostgreSQL", column), []).append(rate)
                rate = celery_rate(folder, workers, tasks)
                others.setdefault(("Celery, Redis", column), []).append(rate)
        for (peer, column), found in others.items():
            rates.setdefault(peer, {})[column] = median(found)
    about = machine()
    path = keep("queue", {"machine": about, "tasks": tasks, "past": past, "tasks_a_second": rates})
    print(f"\n{about['processor']}, {about['cores']} cores; tasks a second, {tasks} a measurement")
    columns = list(rates["db.queue, SQLite"])
    rows = [
        [name, *(f"{found[column]:.0f}" if column in found else "-" for column in columns)]
        for name, found in rates.items()
    ]
    print(table(["queue", *(f"{each} workers" for each in columns)], rows))
    print(f"\nKept in {path}")


def _rate(url: str, workers: int, tasks: int) -> float:
    """Return tasks a second from the start of all workers until the last one is done."""
    each = tasks // workers // BATCH * BATCH
    with started(workers) as (pool, begin):
        done = pool.starmap(work, [(url, n, each, begin) for n in range(workers)], chunksize=1)
    with closing(Database(url)) as database, database.read() as session:
        left = session.scalar(select(func.count()).select_from(Task))
    finished = sum(count for count, _ in done)
    if left or finished != each * workers:
        raise RuntimeError(f"{each * workers} tasks asked for, {finished} done, {left} left")
    return finished / (max(end for _, end in done) - begin)


def work(url: str, number: int, tasks: int, begin: float) -> tuple[int, float]:
    """Ask for, lease and finish tasks, batch after batch; return how many, and when it was done."""
    owner, finished, made = f"bench:{number}", 0, 0
    with closing(Database(url)) as database:
        with database.read() as session:
            database.now(session)  # so that it is connected
        time.sleep(max(0.0, begin - time.time()))
        while True:
            if made < tasks:
                first = (number + 1) * 1_000_000_000 + made
                subjects = range(first, first + BATCH)
                with database.write() as session:
                    now = database.now(session)
                    queue.enqueue(session, TaskKind.READ, subjects, now=now)
                made += BATCH
            with database.write() as session:
                leases = queue.claim(
                    session,
                    TaskKind.READ,
                    owner=owner,
                    now=database.now(session),
                    lease_seconds=LEASE_SECONDS,
                    limit=BATCH,
                )
            if leases:
                with database.write() as session:
                    queue.finish_all(session, leases)
                finished += len(leases)
            elif made == tasks:
                return finished, time.time()


def _pass_through(database: Database, rows: int) -> None:
    """Have so many tasks come and go, and as many events stay; nothing is tidied up after it."""
    with database.write() as session:
        session.execute(text(_HISTORY[database.is_sqlite]), {"rows": rows})
    with database.write() as session:
        session.execute(text(_CHURN[database.is_sqlite]), {"rows": rows})
    with database.write() as session:
        session.execute(text("DELETE FROM task"))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--tasks", type=int, default=8000, help="tasks a measurement")
    parser.add_argument("--past", type=int, default=1_000_000, help="tasks and rows of the past")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a small round of everything")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.tasks, arguments.past, arguments.rounds = 1600, 100_000, 1
    return arguments


if __name__ == "__main__":
    main()
