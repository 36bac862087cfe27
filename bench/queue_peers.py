"""Other queues doing the same: so many tasks that do nothing, asked for and done by N processes."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import redis
from celery import Celery
from procrastinate import App, PsycopgConnector, SyncPsycopgConnector

from bench.processes import started
from tests.peers import ROOT, free_port, wait_until

BROKER_VARIABLE = "HILUM_BENCH_BROKER"
_COUNTER = "done"


def celery_rate(folder: Path, workers: int, tasks: int) -> float:
    """Return tasks a second of Celery on Redis, from the first one asked for to the last one done.

    Tasks are acknowledged late, as ours are: what a killed worker had comes again.

    Raises:
        SystemExit: redis-server is not installed.
    """
    with _redis(folder) as port:
        os.environ[BROKER_VARIABLE] = f"redis://127.0.0.1:{port}/0"
        app = celery_app()
        command = [
            sys.executable, "-m", "bench.queue_peers", "worker",
            "--pool", "prefork", "--concurrency", str(workers), "--loglevel", "warning",
            "--without-gossip", "--without-mingle", "--without-heartbeat",
        ]  # fmt: skip
        log = (folder / "celery.log").open("ab")
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        try:
            with redis.Redis(port=port) as server:
                nothing = app.tasks["nothing"]
                nothing.delay()  # so that it is started
                wait_until(lambda: _count(server) == 1, "Celery's worker", seconds=60)
                begin = time.time()
                for _ in range(tasks):
                    nothing.delay()
                wait_until(lambda: _count(server) == tasks + 1, "all tasks", seconds=300)
                return tasks / (time.time() - begin)
        finally:
            process.terminate()
            process.wait(30)
            log.close()


def celery_app() -> Any:
    """Make the application, for who asks and for the workers."""
    url = os.environ[BROKER_VARIABLE]
    app = Celery("bench", broker=url)
    app.conf.update(task_ignore_result=True, task_acks_late=True, worker_prefetch_multiplier=16)
    counter = redis.Redis.from_url(url)

    def nothing() -> None:
        counter.incr(_COUNTER)

    app.task(nothing, name="nothing", shared=False)
    return app


def procrastinate_rate(url: str, workers: int, tasks: int, batch: int) -> float:
    """Return tasks a second of procrastinate, asked for in batches and done by N processes."""
    address = url.replace("+psycopg", "")
    _prepare(address)
    each = tasks // workers // batch * batch
    with started(workers) as (pool, begin):
        ends = pool.starmap(_procrastinate, [(address, each, batch, begin)] * workers, chunksize=1)
    return each * workers / (max(ends) - begin)


def _prepare(address: str) -> None:
    with psycopg.connect(address) as connection:
        there = connection.execute("SELECT to_regclass('procrastinate_jobs')").fetchone()
    if there == (None,):
        with App(connector=SyncPsycopgConnector(conninfo=address)).open() as app:
            app.schema_manager.apply_schema()


def _procrastinate(address: str, tasks: int, batch: int, begin: float) -> float:
    """Ask for tasks, then work until there are none; return when that was."""
    app = App(connector=PsycopgConnector(conninfo=address))

    async def do_nothing() -> None:
        pass

    nothing = app.task(name="nothing")(do_nothing)

    async def run() -> None:
        async with app.open_async():
            await asyncio.sleep(max(0.0, begin - time.time()))
            for _ in range(0, tasks, batch):
                await nothing.batch_defer_async(*({} for _ in range(batch)))
            await app.run_worker_async(
                wait=False,
                concurrency=batch,
                delete_jobs="successful",
                install_signal_handlers=False,
            )

    asyncio.run(run())
    return time.time()


def _count(server: Any) -> int:
    return int(server.get(_COUNTER) or 0)


@contextmanager
def _redis(folder: Path) -> Iterator[int]:
    """Run a Redis that has every command on disk before it answers."""
    binary = shutil.which("redis-server")
    if binary is None:
        sys.exit("redis-server is needed (Debian: redis-server)")
    port = free_port()
    data = tempfile.mkdtemp(dir=folder)
    command = [
        binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", data,
        "--appendonly", "yes", "--appendfsync", "always", "--save", "",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(30)


if __name__ == "__main__":
    celery_app().worker_main(sys.argv[1:])
