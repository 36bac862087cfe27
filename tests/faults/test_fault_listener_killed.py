"""Fault 1: the listener is killed at random moments while a PACS sends."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults.ledger import Ledger
from tests.faults.reckoning import count
from tests.faults.roles import delivering, reading, scheduling
from tests.faults.sender import Sender
from tests.peers import StoreSCP, hilum_process
from tests.system.whole import Whole, destination, make_films, whole

FILMS = 500
KILLS = 100
SIDE = 256
_LONGEST_LIFE_SECONDS = 0.25


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_kill_9_of_the_listener(
    database_url: str,
    kind: str,
    ledger: Ledger,
    rng: random.Random,
    times: Callable[[int], int],
    storescp: StoreSCP,
    tmp_path: Path,
) -> None:
    kills = times(KILLS)
    films = make_films(tmp_path / "films", times(FILMS), size=SIDE)
    to_pacs = destination(storescp.port, storescp.ae_title, objects=["sr"])
    env = {"HILUM_WORKER__DECODE_PROCESSES": "1"}
    with (
        ledger.fault("1", kind) as tally,
        whole(tmp_path, destinations=[to_pacs], env=env, database_url=database_url) as service,
        reading(service),
        scheduling(service),
        delivering(service),
    ):
        sender = Sender(films, service.port)
        for kill in range(1, kills + 1):
            _one_life(service, sender, len(films) * kill // kills, rng.uniform(0, 1))
            tally.times += 1
        begin = time.monotonic()
        with hilum_process(["listen"], service.env, folder=service.folder) as listener:
            listener.wait_for(service.answers)
            tally.recovered(time.monotonic() - begin)
            sender.send_all()
            service.wait_until_idle(len(films), seconds=600)
        count(tally, service, sender.acknowledged, storescp)


def _one_life(service: Whole, sender: Sender, first: int, moment: float) -> None:
    """Start a listener, send the first films that are left, kill it at a moment from 0 to 1."""
    with (
        hilum_process(["listen"], service.env, folder=service.folder) as listener,
        ThreadPoolExecutor(1) as pool,
    ):
        listener.wait_for("Listening on port")
        sending = pool.submit(sender.send, sender.left(first))
        threading.Event().wait(moment * _LONGEST_LIFE_SECONDS)
        listener.kill()
        sending.result()
