"""What happens on the network is in the audit trail, and what the trail names is in no log."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import closing
from xml.etree import ElementTree as ET

import httpx
import pytest

from audit.file import verify
from db.files import FileStore
from db.session import Database
from scp_service import deliver
from scp_service.dicomweb.server import serving
from tests.audit.schema import faults
from tests.db.makers import RunningClock, film, new_report, reported_study
from tests.peers import free_port, wait_until
from tests.scp_service.films import cr
from tests.scp_service.results import kept
from tests.scp_service.running import associate, associated, configured, listener, status
from tests.scp_service.scripted import Destination

CANARY = "CANARY^NAME"


def trail(store: FileStore) -> list[ET.Element]:
    """Return all messages, each of which must be valid, in one chain."""
    assert verify(store.root / "audit").problem is None
    lines = [
        line.split(" ", 1)[1]
        for day in sorted((store.root / "audit").glob("*.audit"))
        for line in day.read_text().splitlines()
    ]
    assert [fault for line in lines for fault in faults(line)] == []
    return list(map(ET.fromstring, lines))


def event(message: ET.Element) -> tuple[str, str]:
    """Return code and action."""
    found = message.find("EventIdentification")
    assert found is not None
    code = found.find("EventID")
    assert code is not None
    return code.attrib["csd-code"], found.attrib["EventActionCode"]


def identifiers(message: ET.Element) -> list[str]:
    """Return what the event was about."""
    objects = message.iterfind("ParticipantObjectIdentification")
    return [each.attrib["ParticipantObjectID"] for each in objects]


def users(message: ET.Element) -> list[str]:
    """Return who took part."""
    return [each.attrib["UserID"] for each in message.iterfind("ActiveParticipant")]


def test_films_that_come_are_told_with_their_patient_in_the_trail_alone(
    database: Database, store: FileStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    image = cr(PatientID="4711", PatientName=CANARY)
    with listener(database, store) as settings, associated(settings) as association:
        assert status(association, image) == 0x0000
        assert len(trail(store)) == 1  # before the sender goes on
        assert status(association, image) == 0x0000
    first, again = trail(store)
    assert (event(first), event(again)) == (("110104", "C"), ("110104", "R"))
    assert identifiers(first) == [image.StudyInstanceUID, "4711"]
    assert users(first) == ["MODALITY", "HILUM"]
    assert CANARY in ET.tostring(first, encoding="unicode")
    assert "CANARY" not in caplog.text


def test_who_is_refused_is_told_once_a_minute(database: Database, store: FileStore) -> None:
    peers = [{"ae_title": "GOOD"}]
    with listener(database, store, peers=peers) as settings:
        for _ in range(3):
            assert not associate(settings, calling="BAD").is_established
    (refused,) = trail(store)
    assert event(refused) == ("110113", "E")
    assert users(refused) == ["HILUM", "BAD"]


def test_a_wrong_token_is_told(database: Database, store: FileStore) -> None:
    port = free_port()
    settings = configured(store.root, dicomweb__port=port, dicomweb__token="right")
    with serving(settings, database, store):
        answer = httpx.post(
            f"http://127.0.0.1:{port}/dicomweb/studies", headers={"Authorization": "Bearer wrong"}
        )
    assert answer.status_code == 401
    (refused,) = trail(store)
    assert event(refused) == ("110113", "E")


def test_results_that_leave_are_told_with_whom_they_went_to(
    fresh_sqlite: Callable[[], str], store: FileStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    clock, stop = RunningClock(), threading.Event()
    made = film(patient_id="4711", patient_name=CANARY)
    with closing(Database(fresh_sqlite(), clock=clock)) as database, Destination() as pacs:
        result = new_report(kept(store, "sr"), kept(store, "sc"))
        reported_study(database, clock, made, made=result)
        to = {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": pacs.port}
        settings = configured(store.root, destinations=[to])
        delivering = threading.Thread(
            target=deliver.deliver_all, args=(settings, database, store, stop, "deliver@test:1")
        )
        delivering.start()
        try:
            told = wait_until(lambda: trail(store), "the record of what was sent")
        finally:
            stop.set()
            delivering.join()
    sent = told[0]
    assert event(sent) == ("110104", "R")
    assert users(sent) == ["HILUM", "PACS"]
    assert identifiers(sent) == [made.study_instance_uid, "4711"]
    counted = sum(int(each.attrib["NumberOfInstances"]) for each in sent.iter("SOPClass"))
    assert counted == len(pacs.received)
    assert "CANARY" not in caplog.text
