"""Delivery is killed while a PACS owes us its word for what it stores: all of it is committed."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from db.models import DeliveryState
from tests.peers import ChildProcess, dcmsend, wait_until
from tests.scp_service.committing import CommittingPacs
from tests.system.whole import Whole, destination, make_films, whole

# pynetdicom drops the socket of a connection that failed without closing it.
pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

FILMS = 4
ASK_AGAIN_SECONDS = 4


@pytest.fixture
def pacs() -> Iterator[CommittingPacs]:
    """A PACS that takes requests for commitment and keeps its answers to itself."""
    with CommittingPacs(answers="never") as server:
        yield server


def _deliverer(serve: ChildProcess) -> psutil.Process | None:
    for child in serve.children():
        try:
            if child.cmdline()[-1] == "deliver":
                return child
        except (psutil.NoSuchProcess, psutil.ZombieProcess, IndexError):
            continue
    return None


def _kill_while_it_waits(serve: ChildProcess, pacs: CommittingPacs, asked: int) -> None:
    """Kill delivery when the PACS was asked for so many objects and has not answered."""
    wait_until(lambda: _asked_for(pacs) >= asked, f"requests for {asked} objects", seconds=90)
    victim = _deliverer(serve)
    assert victim is not None
    victim.send_signal(signal.SIGKILL)
    wait_until(
        lambda: (found := _deliverer(serve)) is not None and found.pid != victim.pid,
        "a new delivery process",
    )


def _asked_for(pacs: CommittingPacs) -> int:
    """How many objects the PACS was asked for, each counted once."""
    return len(
        {
            str(item.ReferencedSOPInstanceUID)
            for request in pacs.requests
            for item in request.ReferencedSOPSequence
        }
    )


def _committed(service: Whole) -> int:
    return sum(each.state == DeliveryState.COMMITTED for each in service.deliveries())


def _answered(service: Whole, pacs: CommittingPacs, results: int) -> bool:
    """Have the PACS call the listener with its answers; whether so many results are committed."""
    for request in list(pacs.requests):
        assert pacs.call(service.port, *pacs.verdict(request)) == 0
    return _committed(service) == results


def test_kill_9_between_the_request_for_commitment_and_its_answer(
    tmp_path: Path, pacs: CommittingPacs
) -> None:
    """An answer to the dead process is taken by the listener; where none comes, it is asked again.

    At the end all is committed, and nothing was sent twice.
    """
    films = make_films(tmp_path / "films", FILMS)
    to_pacs = destination(pacs.port, "PACS", commit=True)
    env = {"HILUM_DELIVERY__COMMITMENT_TIMEOUT_SECONDS": str(ASK_AGAIN_SECONDS)}
    with whole(tmp_path, destinations=[to_pacs], env=env) as service, service.serving() as serve:
        assert dcmsend(films[:2], service.port).accepted == 2
        _kill_while_it_waits(serve, pacs, asked=4)
        wait_until(lambda: _answered(service, pacs, 4), "the receipts of the first results")

        assert dcmsend(films[2:], service.port).accepted == 2
        _kill_while_it_waits(serve, pacs, asked=8)
        pacs.answers = "same"
        wait_until(lambda: _committed(service) == 8, "the receipts of all results", seconds=60)
        service.wait_until_idle(FILMS)
        assert _answered(service, pacs, 8), "an answer that comes late or twice changes nothing"
        assert sorted(pacs.stored) == sorted(each.sop_instance_uid for each in service.results())
        assert _asked_for(pacs) == 8
