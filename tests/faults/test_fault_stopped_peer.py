"""Fault 15b: a PACS that is stopped (SIGSTOP) answers nothing, and gets its results later."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import dcmread

from db.states import DeliveryState
from tests.faults.ledger import Ledger
from tests.faults.reported import reported
from tests.faults.roles import delivering
from tests.peers import StoreSCP, storescp, wait_until
from tests.system.whole import Whole, destination, whole

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

ROUNDS = 10
STUDIES_EACH = 4
_OTHERS_SECONDS = 10.0
_ENV = {
    "HILUM_DELIVERY__TIMEOUT_SECONDS": "1",
    "HILUM_DELIVERY__BACKOFF_SECONDS": "0.2",
    "HILUM_DELIVERY__BACKOFF_MAX_SECONDS": "1",
}


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_a_pacs_that_is_stopped(
    database_url: str,
    kind: str,
    ledger: Ledger,
    rng: random.Random,
    times: Callable[[int], int],
    tmp_path: Path,
) -> None:
    with (
        ledger.fault("15b", kind) as tally,
        storescp(tmp_path / "stopped", ae_title="STOPPED", options=("+xa",)) as stopped,
        storescp(tmp_path / "other", ae_title="OTHER", options=("+xa",)) as other,
    ):
        destinations = [
            destination(each.port, each.ae_title, name=each.ae_title.lower(), objects=["sr"])
            for each in (stopped, other)
        ]
        with (
            whole(
                tmp_path, destinations=destinations, env=_ENV, database_url=database_url
            ) as service,
            delivering(service),
        ):
            made: set[str] = set()
            for _ in range(times(ROUNDS)):
                threading.Event().wait(rng.uniform(0, 0.5))
                stopped.process.send_signal(signal.SIGSTOP)
                try:
                    made |= reported(service, ["stopped", "other"], STUDIES_EACH)
                    _wait_until_sent(service, "other", _OTHERS_SECONDS)
                    threading.Event().wait(rng.uniform(0, 3))
                finally:
                    stopped.process.send_signal(signal.SIGCONT)
                begin = time.monotonic()
                _wait_until_sent(service, "stopped", 60)
                tally.recovered(time.monotonic() - begin)
                tally.times += 1
        tally.acknowledged = len(made)
        for pacs in (stopped, other):
            tally.lost += len(made - _uids(pacs))
            tally.duplicated += len(_uids(pacs) - made)


def _wait_until_sent(service: Whole, lane: str, seconds: float) -> None:
    wait_until(
        lambda: (
            {each.state for each in service.deliveries() if each.destination == lane}
            == {DeliveryState.SENT}
        ),
        f"all to be sent to {lane}",
        seconds=seconds,
    )


def _uids(pacs: StoreSCP) -> set[str]:
    return {str(dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in pacs.files()}
