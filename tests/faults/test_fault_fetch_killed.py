"""Fault 17: what takes films from an archive is killed, by C-GET and by C-MOVE."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from db.models import Instance
from tests.faults.ledger import Ledger
from tests.faults.reckoning import count
from tests.faults.roles import delivering, reading, scheduling
from tests.faults.sender import Sender
from tests.peers import ChildProcess, StoreSCP, dcmsend, hilum_process
from tests.peers.archive import dcmqrscp
from tests.system.whole import Whole, destination, make_films, whole

KILLS = 20
FILMS_A_KILL = 6
SIDE = 256
_LONGEST_MOMENT_SECONDS = 0.3
_COMMAND = ("fetch", "--all", "--per-minute", "1200")
"""At a pace at which it does not end before it is killed."""
_ENV = {"HILUM_WORKER__DECODE_PROCESSES": "1"}


@pytest.mark.faults
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("retrieve", "fault"), [("get", "17a"), ("move", "17b")])
def test_kill_9_while_films_are_fetched(
    retrieve: str,
    fault: str,
    database_url: str,
    kind: str,
    ledger: Ledger,
    rng: random.Random,
    times: Callable[[int], int],
    storescp: StoreSCP,
    tmp_path: Path,
) -> None:
    """The same command goes on. By C-MOVE the listener is the victim every other time."""
    kills = times(KILLS)
    films = make_films(tmp_path / "films", FILMS_A_KILL * kills, size=SIDE)
    to_pacs = destination(storescp.port, storescp.ae_title, objects=["sr"])
    with (
        ledger.fault(fault, kind) as tally,
        whole(tmp_path, destinations=[to_pacs], env=_ENV, database_url=database_url) as service,
        dcmqrscp(tmp_path / "archive", move_destinations={"HILUM": service.port}) as archive,
        reading(service),
        scheduling(service),
        delivering(service),
        ExitStack() as stack,
    ):
        there = {"name": "archive", "ae_title": archive.ae_title, "host": "127.0.0.1"}
        table = {**there, "port": archive.port, "retrieve": retrieve}
        env = {**service.env, "HILUM_ARCHIVES": json.dumps([table])}
        by_move = retrieve == "move"
        listener = stack.enter_context(_listening(service)) if by_move else None
        for kill in range(kills):
            new = films[kill * FILMS_A_KILL : (kill + 1) * FILMS_A_KILL]
            assert dcmsend(new, archive.port, called=archive.ae_title).accepted == len(new)
            before = service.count(Instance)
            with hilum_process(_COMMAND, env, folder=tmp_path) as fetch:
                fetch.wait_for(lambda before=before: service.count(Instance) > before, seconds=60)
                threading.Event().wait(rng.uniform(0, _LONGEST_MOMENT_SECONDS))
                victim = listener if listener is not None and kill % 2 else fetch
                tally.times += victim.returncode is None
                victim.kill()
                begin = time.monotonic()
                if victim is listener:
                    fetch.wait()
            if victim is listener:
                listener = stack.enter_context(_listening(service))
                tally.recovered(time.monotonic() - begin)
        assert tally.times, "nobody was killed in time"
        with hilum_process(_COMMAND, env, folder=tmp_path) as fetch:
            assert fetch.wait(seconds=120) == 0
        service.wait_until_idle(len(films))
        count(tally, service, set(Sender(films, service.port).films), storescp)


@contextmanager
def _listening(service: Whole) -> Iterator[ChildProcess]:
    with hilum_process(["listen"], service.env, folder=service.folder) as listener:
        listener.wait_for("Listening on port")
        yield listener
