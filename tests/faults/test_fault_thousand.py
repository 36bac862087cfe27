"""Fault 13: a thousand peers ask for an association at once, and stay."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.ledger import Ledger
from tests.faults.reckoning import count
from tests.faults.steady import SteadySender
from tests.peers import hilum_process, wire
from tests.peers.wire import Wire
from tests.system.whole import make_films, whole

CALLERS = 1000
FILMS = 40
SIDE = 256
_THREADS = 50
_PATIENCE_SECONDS = 60
_PLACES = {"HILUM_LISTENER__MAX_ASSOCIATIONS_PER_ADDRESS": "50"}
"""All of them: the peers have one address."""
_TRANSIENT = 2
"""Result "rejected-transient" of an A-ASSOCIATE-RJ (PS3.8 9.3.4)."""


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_a_thousand_associations(
    database_url: str, kind: str, ledger: Ledger, times: Callable[[int], int], tmp_path: Path
) -> None:
    """Those accepted answer a C-ECHO each when all have been answered; a sender's films arrive."""
    films = make_films(tmp_path / "films", FILMS, size=SIDE)
    with (
        ledger.fault("13", kind) as tally,
        whole(tmp_path, database_url=database_url) as service,
        hilum_process(["listen"], service.env | _PLACES, folder=service.folder) as listener,
        ExitStack() as stack,
    ):
        listener.wait_for(service.answers)
        sender = SteadySender(films, service.port)
        with sender.sending():
            sender.wait_for_next()
            with ThreadPoolExecutor(_THREADS) as pool:
                calls = [pool.submit(_call, service.port) for _ in range(times(CALLERS))]
                callers = [call.result() for call in calls]
            for caller, answer in callers:
                stack.enter_context(caller)
                if answer == wire.ASSOCIATE_AC:
                    caller.send(wire.echo_rq())
                    tally.lost += caller.status() != 0x0000
            begin = time.monotonic()
            for caller, _ in callers:
                caller.connection.close()
            sender.wait_for_all()
            tally.recovered(time.monotonic() - begin)
        answers = Counter(answer for _, answer in callers)
        tally.times = len(callers)
        accepted, refused = answers[wire.ASSOCIATE_AC], answers[wire.ASSOCIATE_RJ]
        tally.remark = f"{accepted} accepted, {refused} refused as transient"
        assert accepted
        assert accepted + refused == len(callers), dict(answers)
        count(tally, service, sender.uids)


def _call(port: int) -> tuple[Wire, int]:
    """Ask for an association; return the connection, which stays, and the kind of answer."""
    caller = Wire(port, seconds=_PATIENCE_SECONDS)
    kind, body = caller.ask()
    if kind == wire.ASSOCIATE_RJ:
        assert body[1] == _TRANSIENT, "rejected for good"
    return caller, kind
