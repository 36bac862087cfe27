"""Destinations in the console: how each stands, whether it answers, paused and resumed."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from console.context import Context
from console.reach.probe import probe
from db import deliveries, pauses, queue
from db.models import DestinationPause
from db.session import Database
from db.states import TaskKind, UserRole
from tests import peers
from tests.console.browsing import Person, audit_records, person, running_console
from tests.db.makers import Clock, claim_one, film, new_report, reported_study, rows
from tests.scp_service.scripted import Destination

# pynetdicom drops the socket of a connection that failed without closing it.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

PAGE = "/administration/destinations"


@pytest.fixture
def pacs() -> Iterator[Destination]:
    with Destination() as running:
        yield running


@pytest.fixture
def context(database: Database, fast_folder: Path, pacs: Destination) -> Iterator[Context]:
    """A console with a destination that answers and one that does not."""
    configured = [
        {"name": "pacs", "ae_title": pacs.ae_title, "host": "127.0.0.1", "port": pacs.port},
        {"name": "down", "kind": "hl7", "host": "127.0.0.1", "port": peers.free_port()},
    ]
    with running_console(database, fast_folder, destinations=configured) as made:
        yield made


def row(text: str, name: str) -> str:
    """Return the row of a destination."""
    (found,) = [
        each for each in text.partition("<tbody>")[2].split("<tr") if f"<strong>{name}<" in each
    ]
    return found


def test_each_is_listed_with_what_waits_and_why(
    admin: Person, context: Context, clock: Clock
) -> None:
    profiles = dict.fromkeys(("pacs", "down", "old"), ("sr",))
    reported_study(context.database, clock, film(), made=new_report(), profiles=profiles)
    sent = claim_one(context.database, TaskKind.DELIVER, lane="pacs")
    failed = claim_one(context.database, TaskKind.DELIVER, lane="down")
    with context.database.write() as session:
        (parcel,) = deliveries.parcels(session, [sent])
        deliveries.record_sent(session, [deliveries.Sent(parcel, 0)], now=clock())
        later = clock() + timedelta(minutes=5)
        queue.retry_later(session, failed, at=later, error="it cannot be reached <now>")
    page = admin.get(PAGE).text
    assert "up to date" in row(page, "pacs")
    assert "2024-03-01" in row(page, "pacs")
    assert "it cannot be reached &lt;now&gt;" in row(page, "down")
    assert "oldest" in row(page, "down")
    assert "not configured any more" in row(page, "old")


def test_an_echo_says_whether_a_destination_answers(admin: Person, pacs: Destination) -> None:
    there = admin.post(f"{PAGE}/echo", {"name": "pacs"}).text
    assert "answers" in row(there, "pacs")
    assert "answers" not in row(there, "down")
    gone = admin.post(f"{PAGE}/echo", {"name": "down"}).text
    assert "no answer" in row(gone, "down")
    assert admin.post(f"{PAGE}/echo", {"name": "none"}).status_code == 404


def test_nobody_waits_for_a_destination_without_end(context: Context) -> None:
    destination = context.settings.destinations[0]
    with socket.create_server(("127.0.0.1", 0)) as silent:
        slow = destination.model_copy(update={"port": silent.getsockname()[1]})
        found = probe(slow, context.settings, longest=0.05)
    assert found.problem == "it has not answered within 0.05 s"


def test_paused_and_resumed_by_whom_and_why(admin: Person, context: Context) -> None:
    form = {"name": "pacs", "reason": "moves house"}
    assert admin.post(f"{PAGE}/pause", form).status_code == 303
    (found,) = rows(context.database, DestinationPause)
    assert (found.destination, found.by, found.reason) == ("pacs", "admin", "moves house")
    page = admin.get(PAGE).text
    assert "paused" in row(page, "pacs")
    assert "moves house" in row(page, "pacs")
    assert "paused" not in row(page, "down")
    assert admin.post(f"{PAGE}/resume", {"name": "pacs"}).status_code == 303
    with context.database.read() as session:
        assert not pauses.is_paused(session, "pacs")
    assert admin.post(f"{PAGE}/pause", {"name": "none"}).status_code == 404
    assert audit_records(context).count('ParticipantObjectID="pacs"') == 2


def test_an_operator_pauses_nothing(context: Context) -> None:
    with person(context, UserRole.OPERATOR) as them:
        assert them.post(f"{PAGE}/pause", {"name": "pacs"}).status_code == 403
    assert rows(context.database, DestinationPause) == []
