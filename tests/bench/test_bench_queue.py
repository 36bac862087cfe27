"""What the benchmarks of the queue count as done is done."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import func, select

from bench import growing
from bench import queue as bench_queue
from db import intake, migrations
from db.models import Instance, StoredReading, Task
from db.session import Database
from tests.db.makers import film


def _count(database: Database, table: type) -> int:
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_worker_of_the_queue_finishes_what_it_asked_for(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path / 'queue.sqlite'}"
    if kind == "postgres":
        url = request.getfixturevalue("postgres_url")
    with closing(Database(url)) as database:
        migrations.upgrade(database, tmp_path)
        finished, _ = bench_queue.work(url, 1, 3 * bench_queue.BATCH, time.time())
        assert finished == 3 * bench_queue.BATCH
        assert _count(database, Task) == 0


def test_the_workers_of_one_process_read_every_film_once(tmp_path: Path, postgres_url: str) -> None:
    with closing(Database(postgres_url)) as database:
        migrations.upgrade(database, tmp_path)
        with database.write() as session:
            intake.record_films(session, [film() for _ in range(21)], database.now(session))
        growing.work_all(postgres_url, [1, 2, 3], 4, 0.001, time.time())
        assert _count(database, StoredReading) == _count(database, Instance) == 21
        assert _count(database, Task) == 0
