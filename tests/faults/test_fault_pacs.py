"""Fault 8: a PACS is down, refuses, is full, slow, silent or aborts; or is away for a day."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from db.states import DeliveryState
from tests.db.makers import RunningClock
from tests.faults.ledger import Ledger, Tally
from tests.faults.reported import reported
from tests.faults.roles import delivering
from tests.peers import wait_until
from tests.scp_service.scripted import Destination, Received
from tests.system.whole import Whole, destination, whole

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

ROUNDS = 24
STUDIES_EACH = 4
MOODS = ("down", "refuses", "no room", "aborts", "silent", "slow")
OUTAGE_HOURS = 24
_TIMEOUT_SECONDS = 1.0
_OTHERS_SECONDS = 10.0
_ENV = {
    "HILUM_DELIVERY__TIMEOUT_SECONDS": str(_TIMEOUT_SECONDS),
    "HILUM_DELIVERY__BACKOFF_SECONDS": "0.2",
    "HILUM_DELIVERY__BACKOFF_MAX_SECONDS": "1",
}


class Moody(Destination):
    """A PACS that does as its mood is, and keeps what it has answered with success."""

    def __init__(self) -> None:
        super().__init__(ae_title="MOODY", answer=self._answer)
        self.copies: dict[str, set[bytes]] = defaultdict(set)
        self.mood = ""

    @contextmanager
    def in_mood(self, mood: str) -> Iterator[None]:
        """Be in this mood until the end of the block."""
        self.mood = mood
        self._restart("NOBODY" if mood == "refuses" else "MOODY", up=mood != "down")
        try:
            yield
        finally:
            self.mood = ""
            self._restart("MOODY", up=True)

    def _restart(self, ae_title: str, *, up: bool) -> None:
        self.stop()
        self.ae_title = ae_title
        if up:
            self.start()

    def _answer(self, received: Received) -> int:
        if self.mood == "no room":
            return 0xA700
        if self.mood == "aborts":
            received.association.abort()
            return 0xC000
        if self.mood in ("silent", "slow"):
            time.sleep(_TIMEOUT_SECONDS * (1.5 if self.mood == "silent" else 0.3))
        self.copies[received.sop_instance_uid].add(received.encoded)
        return 0x0000


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_a_pacs_in_every_mood(
    database_url: str,
    kind: str,
    ledger: Ledger,
    rng: random.Random,
    times: Callable[[int], int],
    tmp_path: Path,
) -> None:
    moods = [MOODS[number % len(MOODS)] for number in range(times(ROUNDS))]
    rng.shuffle(moods)
    with ledger.fault("8a", kind) as tally, Moody() as moody, Destination() as other:
        destinations = [
            destination(moody.port, "MOODY", name="moody", objects=["sr"]),
            destination(other.port, other.ae_title, name="other", objects=["sr"]),
        ]
        with (
            whole(
                tmp_path, destinations=destinations, env=_ENV, database_url=database_url
            ) as service,
            delivering(service),
        ):
            made: set[str] = set()
            for mood in moods:
                made |= _one_round(service, moody, mood, tally)
        _settle(tally, made, moody)
        tally.remark = f"the other destination had everything within {_OTHERS_SECONDS:.0f} s"


@pytest.mark.faults
@pytest.mark.timeout(300)
def test_a_pacs_that_is_away_for_a_day(
    database_url: str, kind: str, ledger: Ledger, rng: random.Random, tmp_path: Path
) -> None:
    """The clock is moved by half an hour after each attempt that failed; new results come."""
    clock = RunningClock()
    with ledger.fault("8b", kind) as tally, Moody() as moody:
        to_moody = destination(moody.port, "MOODY", name="moody", objects=["sr"])
        with (
            whole(
                tmp_path, destinations=[to_moody], env=_ENV, database_url=database_url
            ) as service,
            delivering(service, clock=clock),
        ):
            made: set[str] = set()
            with moody.in_mood("down"):
                for _ in range(2 * OUTAGE_HOURS):
                    made |= reported(service, ("moody",), 1)
                    wait_until(lambda: _all_tried(service), "an attempt", seconds=30)
                    clock.move(minutes=30)
                    tally.times += 1
            begin = time.monotonic()
            wait_until(lambda: _all_sent(service, "moody"), "all to be sent", seconds=60)
            tally.recovered(time.monotonic() - begin)
        _settle(tally, made, moody)


def _one_round(service: Whole, moody: Moody, mood: str, tally: Tally) -> set[str]:
    with moody.in_mood(mood):
        made = reported(service, ("moody", "other"), STUDIES_EACH)
        wait_until(
            lambda: _all_sent(service, "other"),
            "all to be sent to the other destination",
            seconds=_OTHERS_SECONDS,
        )
        wait_until(
            lambda: _all_tried(service) or _all_sent(service, "moody"), "an attempt", seconds=30
        )
    begin = time.monotonic()
    wait_until(lambda: _all_sent(service, "moody"), "all to be sent", seconds=60)
    tally.recovered(time.monotonic() - begin)
    tally.times += 1
    return made


def _settle(tally: Tally, made: set[str], moody: Moody) -> None:
    tally.acknowledged = len(made)
    tally.lost = len(made - set(moody.copies))
    tally.duplicated = len(set(moody.copies) - made)
    assert all(len(copies) == 1 for copies in moody.copies.values()), "not the same bytes"


def _all_sent(service: Whole, lane: str) -> bool:
    states = {each.state for each in service.deliveries() if each.destination == lane}
    return states == {DeliveryState.SENT}


def _all_tried(service: Whole) -> bool:
    """Whether each delivery to the moody PACS that has not arrived has failed at least once."""
    return all(
        each.reason is not None or each.state is DeliveryState.SENT
        for each in service.deliveries()
        if each.destination == "moody"
    )
