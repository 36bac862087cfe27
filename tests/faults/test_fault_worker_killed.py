"""Fault 3: a worker is killed while it reads; another one takes over."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import select

from db.models import Task
from db.states import TaskState
from tests.faults.ledger import Ledger
from tests.faults.reckoning import count
from tests.faults.roles import delivering, receiving, scheduling
from tests.faults.sender import Sender
from tests.peers import ChildProcess, StoreSCP, hilum_process, wait_until
from tests.system.whole import Whole, destination, make_films, whole

KILLS = 50
FILMS_A_KILL = 4
LEASE_SECONDS = 30
_LONGEST_MOMENT_SECONDS = 0.6


@pytest.mark.faults
@pytest.mark.timeout(3000)
def test_kill_9_of_a_worker(
    database_url: str,
    kind: str,
    ledger: Ledger,
    rng: random.Random,
    times: Callable[[int], int],
    storescp: StoreSCP,
    tmp_path: Path,
) -> None:
    """Of two workers with the packaged network, one that has films is killed; it is replaced."""
    kills = times(KILLS)
    films = make_films(tmp_path / "films", kills * FILMS_A_KILL)
    to_pacs = destination(storescp.port, storescp.ae_title, objects=["sr"])
    env = {
        "HILUM_WORKER__DECODE_PROCESSES": "1",
        "HILUM_WORKER__LEASE_SECONDS": str(LEASE_SECONDS),
        "HILUM_WORKER__BATCH_SIZE": "2",
    }
    with (
        ledger.fault("3", kind) as tally,
        whole(tmp_path, destinations=[to_pacs], env=env, database_url=database_url) as service,
        receiving(service),
        scheduling(service),
        delivering(service),
        ExitStack() as stack,
    ):
        sender = Sender(films, service.port)
        workers = [_worker(stack, service) for _ in range(2)]
        for kill in range(1, kills + 1):
            sender.send(sender.left(kill * FILMS_A_KILL))
            victim = wait_until(
                lambda: _one_that_reads(service, workers), "a worker that reads", seconds=90
            )
            threading.Event().wait(rng.uniform(0, _LONGEST_MOMENT_SECONDS))
            victim.kill()
            begin = time.monotonic()
            tally.times += 1
            workers[workers.index(victim)] = _worker(stack, service)
            service.wait_until_idle(kill * FILMS_A_KILL)
            tally.recovered(time.monotonic() - begin)
        count(tally, service, sender.acknowledged, storescp)
        assert all(each.state == "read" for each in service.instances())


def _worker(stack: ExitStack, service: Whole) -> ChildProcess:
    return stack.enter_context(hilum_process(["work"], service.env, folder=service.folder))


def _one_that_reads(service: Whole, workers: list[ChildProcess]) -> ChildProcess | None:
    """Return a worker that holds a lease."""
    with service.database.read() as session:
        owners = session.scalars(select(Task.owner).where(Task.state == TaskState.LEASED)).all()
    by_pid = {str(worker.pid): worker for worker in workers}
    return next((by_pid[pid] for owner in owners if (pid := _pid(owner)) in by_pid), None)


def _pid(owner: str | None) -> str:
    return str(owner).split(":")[1]
