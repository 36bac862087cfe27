"""Fault 14: the clock is set a day ahead, and a day back, while everything works."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.db.makers import RunningClock
from tests.faults.ledger import Ledger
from tests.faults.reckoning import count
from tests.faults.roles import delivering, reading, receiving, scheduling
from tests.faults.sender import Sender
from tests.peers import StoreSCP
from tests.system.whole import destination, make_films, whole

ROUNDS = 10
FILMS_EACH = 6
SIDE = 256
PUT_OFF_SECONDS = 30.0


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_a_clock_that_jumps_by_a_day(
    database_url: str,
    kind: str,
    ledger: Ledger,
    rng: random.Random,
    times: Callable[[int], int],
    storescp: StoreSCP,
    tmp_path: Path,
) -> None:
    """All roles go by one injected clock; it jumps while films are under way."""
    rounds = times(ROUNDS)
    days = [1, -1] * rounds
    films = make_films(tmp_path / "films", FILMS_EACH * len(days), size=SIDE)
    to_pacs = destination(storescp.port, storescp.ae_title, objects=["sr"])
    env = {"HILUM_WORKER__DECODE_PROCESSES": "1"}
    clock = RunningClock()
    with (
        ledger.fault("14", kind) as tally,
        whole(
            tmp_path, destinations=[to_pacs], env=env, database_url=database_url, quiet_seconds=1
        ) as service,
        receiving(service, clock=clock),
        reading(service, clock=clock),
        scheduling(service, clock=clock),
        delivering(service, clock=clock),
    ):
        sender = Sender(films, service.port)
        for number, jump in enumerate(days, start=1):
            sender.send(sender.left(number * FILMS_EACH))
            threading.Event().wait(rng.uniform(0, 2))
            clock.move(days=jump)
            begin = time.monotonic()
            service.wait_until_idle(number * FILMS_EACH, seconds=PUT_OFF_SECONDS)
            tally.recovered(time.monotonic() - begin)
            tally.times += 1
        count(tally, service, sender.acknowledged, storescp)
        assert all(each.state == "read" for each in service.instances())
