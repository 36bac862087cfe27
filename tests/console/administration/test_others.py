"""Peers, retention and settings in the console."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from console.context import Context
from db.session import Database
from tests.console.browsing import Person, log_in, running_console
from tests.db.makers import Clock, film, new_report, receive, reported_study
from tests.scp_service.scripted import Destination

# pynetdicom drops the socket of a connection that failed without closing it.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

ROOT = "/administration"


@pytest.fixture
def listener() -> Iterator[Destination]:
    """A peer that listens itself."""
    with Destination() as running:
        yield running


@pytest.fixture
def context(database: Database, fast_folder: Path, listener: Destination) -> Iterator[Context]:
    configured = [
        {"ae_title": listener.ae_title, "address": "127.0.0.1", "port": listener.port},
        {"ae_title": "MODALITY", "address": "10.0.0.0/8"},
        {"ae_title": "QUIET"},
    ]
    with running_console(
        database,
        fast_folder,
        peers=configured,
        retention__days=30,
        backup__passphrase="a <secret> passphrase",
    ) as made:
        yield made


def test_peers_are_listed_with_when_each_sent_last(
    admin: Person, context: Context, clock: Clock
) -> None:
    receive(context.database, film(source_ae="MODALITY"))
    page = admin.get(f"{ROOT}/peers").text
    rows = {each.split("<")[0]: each for each in page.split("<strong>")[1:]}
    assert "10.0.0.0/8" in rows["MODALITY"]
    assert "ago" in rows["MODALITY"]
    assert "anywhere" in rows["QUIET"]
    assert "never" in rows["QUIET"]


def test_a_peer_that_listens_is_asked_whether_it_is_there(
    admin: Person, listener: Destination
) -> None:
    name = f"{listener.ae_title}@127.0.0.1"
    assert "answers" in admin.post(f"{ROOT}/peers/echo", {"name": name}).text
    listener.stop()
    assert "no answer" in admin.post(f"{ROOT}/peers/echo", {"name": name}).text
    assert admin.post(f"{ROOT}/peers/echo", {"name": "QUIET@0.0.0.0/0"}).status_code == 409
    assert admin.post(f"{ROOT}/peers/echo", {"name": "NOBODY@10.0.0.1"}).status_code == 404


def test_what_is_deleted_next_is_told(admin: Person, context: Context, clock: Clock) -> None:
    database = context.database
    reported_study(database, clock, film(), made=new_report(), profiles={})
    reported_study(database, clock, film(), made=new_report(), profiles={"pacs": ("sr",)})
    receive(database, film())
    clock.move(days=31)
    log_in(admin.client, "admin")
    page = admin.get(f"{ROOT}/retention").text
    assert "deleted 30 days after" in page
    first, second, third = page.partition("<tbody>")[2].split("<tr>")[1:]
    assert ">due<" in first
    assert "waits for delivery" in second
    assert "has no report yet" in third


def test_settings_are_shown_with_their_origin_and_without_secrets(admin: Person) -> None:
    page = admin.get(f"{ROOT}/settings").text
    assert "passphrase" in page
    assert "&lt;secret&gt;" not in page
    assert "<secret>" not in page
    assert "***" in page
    some = admin.get(f"{ROOT}/settings?search=Retention.days").text
    assert some.count('<td class="key">') == 1
    assert ">30<" in some
    changed = admin.get(f"{ROOT}/settings?changed=true&search=listener").text
    assert '<td class="key">' not in changed


def test_administration_is_in_the_bar_for_administrators_alone(
    admin: Person, operator: Person
) -> None:
    assert 'href="/administration"' in admin.get("/").text
    assert 'href="/administration"' not in operator.get("/").text
    assert admin.get(ROOT).headers["Location"] == f"{ROOT}/destinations"
