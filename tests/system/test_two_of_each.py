"""Two of each role on one PostgreSQL; one listener and one worker are killed under load.

HILUM_FILMS=2000 python -m pytest -m long tests/system/test_two_of_each.py
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import select

from db.models import Instance, Task
from db.states import TaskKind, TaskState
from tests.faults.ledger import Tally
from tests.faults.light_bundle import light_bundle
from tests.faults.reckoning import count, settle
from tests.faults.sender import Sender
from tests.peers import ChildProcess, StoreSCP, echoscu, free_port, hilum_process, wait_until
from tests.system.whole import Whole, destination, make_films, whole

FILMS = int(os.environ.get("HILUM_FILMS", "200"))
ASSOCIATIONS = 8


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_of_two_listeners_and_two_workers_one_each_is_killed_and_every_film_has_one_report(
    tmp_path: Path, postgres_url: str, storescp: StoreSCP
) -> None:
    bundle = light_bundle(tmp_path / "bundle")
    films = make_films(tmp_path / "made", FILMS, size=256)
    to_pacs = destination(storescp.port, storescp.ae_title, objects=["sr"])
    env = {"HILUM_WORKER__BUNDLE": str(bundle), "HILUM_WORKER__DECODE_PROCESSES": "1"}
    with ExitStack() as stack:
        service = stack.enter_context(
            whole(tmp_path, destinations=[to_pacs], env=env, database_url=postgres_url)
        )
        ports = (service.port, free_port())
        listeners = [_started(stack, "listen", service, port) for port in ports]
        for port in ports:
            wait_until(lambda port=port: _answers(port), "a listener", seconds=60)
        pairs = [
            [_started(stack, role, service) for _ in range(2)]
            for role in ("work", "deliver", "schedule")
        ]
        workers = pairs[0]
        for worker in workers:
            worker.wait_for("Reading with", seconds=60)

        begin = time.monotonic()
        with ThreadPoolExecutor(ASSOCIATIONS) as pool:
            senders = [
                _Balanced(films[first::ASSOCIATIONS], ports, first) for first in range(ASSOCIATIONS)
            ]
            sending = [pool.submit(sender.send_all) for sender in senders]
            wait_until(lambda: service.count(Instance) >= FILMS // 4, "films", seconds=600)
            listeners[0].kill()
            victim = wait_until(lambda: _one_that_reads(service, workers), "a worker that reads")
            victim.kill()
            for each in sending:
                each.result()
        service.wait_until_idle(FILMS, seconds=1800)
        seconds = time.monotonic() - begin

        acknowledged = {uid for sender in senders for uid in sender.acknowledged}
        settle(service)
        tally = Tally()
        count(tally, service, acknowledged, storescp)
        assert (tally.acknowledged, tally.lost, tally.duplicated) == (FILMS, 0, 0)
        assert all(each.state == "read" for each in service.instances())
        print(f"\n{FILMS} films, one report each, in {seconds:.0f} s")


class _Balanced:
    """A sender behind a balancer: what one listener has not acknowledged goes to the other."""

    def __init__(self, films: Sequence[Path], ports: Sequence[int], first: int) -> None:
        self._first = first
        self._senders = [Sender(films, port) for port in ports]

    @property
    def acknowledged(self) -> set[str]:
        return self._senders[0].acknowledged | self._senders[1].acknowledged

    def send_all(self) -> None:
        for attempt in range(100):
            sender = self._senders[(self._first + attempt) % 2]
            sender.acknowledged = self.acknowledged
            sender.send(sender.left())
            if not sender.left():
                return
            threading.Event().wait(0.2)  # as a modality does, before it tries again
        raise AssertionError("films are not taken")


def _started(stack: ExitStack, role: str, service: Whole, port: int | None = None) -> ChildProcess:
    env = service.env if port is None else {**service.env, "HILUM_LISTENER__PORT": str(port)}
    return stack.enter_context(hilum_process([role], env, folder=service.folder))


def _answers(port: int) -> bool:
    return echoscu(port, called="HILUM", calling="HILUM")


def _one_that_reads(service: Whole, workers: Sequence[ChildProcess]) -> ChildProcess | None:
    """Return a worker that holds the lease of a film."""
    reads = (Task.kind == TaskKind.READ, Task.state == TaskState.LEASED)
    with service.database.read() as session:
        owners = set(session.scalars(select(Task.owner).where(*reads)))
    pids = {str(owner).split(":")[1] for owner in owners}
    return next((worker for worker in workers if str(worker.pid) in pids), None)
