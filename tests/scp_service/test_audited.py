"""What happens on the network is in the audit trail, and what the trail names is in no log."""

from __future__ import annotations

import base64
import hashlib
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import pytest

from audit.file import verify
from db.files import FileStore
from db.models import Delivery
from db.reports import NewResult
from db.session import Database
from db.states import DeliveryState
from scp_service import deliver
from scp_service.certificates import make_trial
from scp_service.dicomweb.server import serving
from scp_service.schedule import Jobs
from tests.audit.schema import faults
from tests.db.makers import NOON, RunningClock, film, new_report, reported_study, rows
from tests.peers import echoscu, free_port, storescp, wait_until
from tests.scp_service.destinations.documents import encoded
from tests.scp_service.destinations.web_servers import Told, WebServer
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


def outcome(message: ET.Element) -> str:
    """Return how it ended: 0 well."""
    found = message.find("EventIdentification")
    assert found is not None
    return found.attrib["EventOutcomeIndicator"]


def failure(message: ET.Element) -> str:
    """Return why it failed."""
    return message.findtext("EventIdentification/EventOutcomeDescription") or ""


def event_type(message: ET.Element) -> str:
    """Return the code of the kind of event."""
    found = message.find("EventIdentification/EventTypeCode")
    assert found is not None
    return found.attrib["csd-code"]


def descriptions(message: ET.Element) -> str:
    """Return the details of what the event was about, which are base64."""
    details = message.iter("ParticipantObjectDetail")
    return "\n".join(base64.b64decode(each.attrib["value"]).decode() for each in details)


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


def test_who_calls_us_by_another_name_is_told(database: Database, store: FileStore) -> None:
    with listener(database, store) as settings:
        assert not associate(settings, called="OTHER").is_established
    (refused,) = trail(store)
    assert event(refused) == ("110113", "E")
    assert users(refused) == ["HILUM", "MODALITY"]


def test_who_is_refused_in_the_handshake_is_told_once_and_who_hangs_up_is_not(
    database: Database, store: FileStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = make_trial(tmp_path, ["127.0.0.1"], days=2, now=datetime.now(UTC))
    port = free_port()
    tls = {"enabled": True, "port": port, "certificate": str(made.server), "ca": str(made.ca)}
    given = {f"listener__tls__{key}": value for key, value in tls.items()}
    given["listener__tls__client_certificate"] = "required"
    with listener(database, store, **given):
        socket.create_connection(("127.0.0.1", port)).close()
        wait_until(lambda: "was refused" in caplog.text, "the log to tell who hung up")
        assert trail(store) == []
        for _ in range(3):
            assert not echoscu(port, called="HILUM", options=("+tla", "+cf", str(made.ca)))
        wait_until(lambda: trail(store), "the record of the handshake")
    (refused,) = trail(store)
    assert event(refused) == ("110113", "E")
    assert event_type(refused) == "110126"
    assert users(refused) == ["HILUM", "127.0.0.1"]
    assert "the peer shows no certificate" in descriptions(refused)


def test_films_that_are_not_taken_are_told_once_a_minute(
    database: Database, store: FileStore, caplog: pytest.LogCaptureFixture
) -> None:
    image = cr(PatientID="4711", PatientName=CANARY)
    with listener(database, store) as settings, associated(settings) as association:
        for _ in range(3):
            assert status(association, image, sop_instance="1.2.3") == 0xA900
        assert status(association, b"nothing that is DICOM") == 0xC000
    known, unknown = trail(store)
    assert {event(known), event(unknown)} == {("110104", "C")}
    assert (outcome(known), outcome(unknown)) == ("4", "4")
    assert identifiers(known) == [image.StudyInstanceUID, "4711"]
    assert identifiers(unknown) == ["unknown", "unknown"]
    assert "differ from the data set's" in failure(known)
    assert "CANARY" not in caplog.text


def test_films_that_stow_does_not_take_are_told(database: Database, store: FileStore) -> None:
    port = free_port()
    settings = configured(store.root, dicomweb__port=port, dicomweb__token="right")
    image, file = cr(PatientID="4711", PatientName=CANARY), BytesIO()
    image.save_as(file, enforce_file_format=True)
    with serving(settings, database, store):
        answer = httpx.post(
            f"http://127.0.0.1:{port}/dicomweb/studies/1.2.3",
            content=file.getvalue(),
            headers={"Authorization": "Bearer right", "Content-Type": "application/dicom"},
        )
    assert answer.status_code == 409
    (refused,) = trail(store)
    assert (event(refused), outcome(refused)) == (("110104", "C"), "4")
    assert identifiers(refused) == [image.StudyInstanceUID, "4711"]


def test_a_study_that_is_deleted_by_its_age_is_told(
    fresh_sqlite: Callable[[], str], store: FileStore
) -> None:
    clock = RunningClock()
    made = film(patient_id="4711", patient_name=CANARY)
    with closing(Database(fresh_sqlite(), clock=clock)) as database:
        reported_study(database, clock, made, profiles={})
        clock.move(days=31)
        settings = configured(store.root, retention__days=30)
        Jobs(settings, database, store, "schedule@test:1").delete_expired_studies()
    (deleted,) = trail(store)
    assert event(deleted) == ("110105", "D")
    assert identifiers(deleted) == [made.study_instance_uid, "4711"]


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


@dataclass(frozen=True, slots=True)
class Sending:
    """A study that is reported and to be sent to one destination."""

    database: Database
    store: FileStore
    study_instance_uid: str
    deliver: Callable[[dict[str, Any]], AbstractContextManager[None]]


@pytest.fixture
def sending(fresh_sqlite: Callable[[], str], store: FileStore) -> Iterator[Sending]:
    """A report, an overlay and a document of CANARY that wait for the destination `pacs`."""
    clock, made = RunningClock(), film(patient_id="4711", patient_name=CANARY)
    with closing(Database(fresh_sqlite(), clock=clock)) as database:
        result = new_report(kept(store, "sr"), kept(store, "sc"), kept_document(store))

        @contextmanager
        def delivering(to: dict[str, Any]) -> Iterator[None]:
            kinds = to.get("objects", ("sr", "sc"))
            reported_study(database, clock, made, made=result, profiles={"pacs": tuple(kinds)})
            quick = {"delivery__backoff_seconds": 0.05, "delivery__backoff_max_seconds": 0.05}
            settings = configured(store.root, destinations=[{"name": "pacs", **to}], **quick)
            stop = threading.Event()
            arguments = (settings, database, store, stop, "deliver@test:1")
            thread = threading.Thread(target=deliver.deliver_all, args=arguments)
            thread.start()
            try:
                yield
            finally:
                stop.set()
                thread.join()

        yield Sending(database, store, made.study_instance_uid, delivering)


def test_results_that_leave_are_told_with_whom_they_went_to(
    sending: Sending, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with Destination() as pacs:
        to = {"ae_title": "PACS", "host": "127.0.0.1", "port": pacs.port}
        with sending.deliver(to):
            told = wait_until(lambda: trail(sending.store), "the record of what was sent")
    sent = told[0]
    assert event(sent) == ("110104", "R")
    assert outcome(sent) == "0"
    assert users(sent) == ["HILUM", "PACS"]
    assert identifiers(sent) == [sending.study_instance_uid, "4711"]
    counted = sum(int(each.attrib["NumberOfInstances"]) for each in sent.iter("SOPClass"))
    assert counted == len(pacs.received)
    assert "CANARY" not in caplog.text


def test_results_that_are_refused_are_told_at_first_and_when_they_are_given_up(
    sending: Sending, caplog: pytest.LogCaptureFixture
) -> None:
    with Destination(answer=lambda _: 0xC123) as pacs:
        to = {"ae_title": "PACS", "host": "127.0.0.1", "port": pacs.port, "objects": ["sr"]}
        with sending.deliver(to):
            wait_until(lambda: states(sending) == {DeliveryState.REJECTED}, "a rejected delivery")
            wait_until(lambda: len(trail(sending.store)) == 2, "two records")
    assert len(pacs.received) == deliver.MOST_REFUSALS
    for each in trail(sending.store):
        assert (event(each), outcome(each)) == (("110104", "R"), "4")
        assert identifiers(each) == [sending.study_instance_uid, "4711"]
        assert failure(each) == "status C123"
    assert "CANARY" not in caplog.text


@pytest.mark.parametrize(("code", "failed"), [(204, ""), (422, "422")])
def test_documents_that_leave_for_other_systems_are_exports(
    sending: Sending, code: int, failed: str
) -> None:
    secret = f"whsec_{base64.b64encode(bytes(24)).decode()}"
    with WebServer(lambda _: Told(code)) as hook:
        to = {"kind": "webhook", "url": hook.url, "secret": secret, "objects": ["json"]}
        with sending.deliver(to):
            told = wait_until(lambda: trail(sending.store), "the record of what was sent")
    sent = told[0]
    assert event(sent) == ("110106", "R")
    assert outcome(sent) == ("4" if failed else "0")
    assert failed in failure(sent)
    assert users(sent) == ["pacs", "HILUM", "pacs"]
    assert identifiers(sent) == [sending.study_instance_uid, "4711"]


def test_a_destination_that_is_not_trusted_is_told(sending: Sending, tmp_path: Path) -> None:
    made, other = (
        make_trial(tmp_path / name, ["127.0.0.1"], days=2, now=datetime.now(UTC))
        for name in ("theirs", "ours")
    )
    own = ("+tls", str(made.server), str(made.server), "+cf", str(made.ca))
    echo = ("+tls", str(made.client), str(made.client), "+cf", str(made.ca))
    with storescp(tmp_path / "pacs", options=("+xa", *own), echo_options=echo) as pacs:
        tls = {"enabled": True, "ca": str(other.ca)}
        to = {"ae_title": "STORESCP", "host": "127.0.0.1", "port": pacs.port, "tls": tls}
        with sending.deliver(to):
            told = wait_until(lambda: trail(sending.store), "the record of the handshake")
    assert (event(told[0]), event_type(told[0])) == (("110113", "E"), "110126")
    assert "certificate is not accepted" in descriptions(told[0])
    assert states(sending) == {DeliveryState.PENDING}


def kept_document(store: FileStore) -> NewResult:
    """Write a result document to the data folder, and say what it is."""
    data = encoded()
    return NewResult(
        kind="json",
        sop_class_uid="",
        sop_instance_uid="",
        series_instance_uid="",
        transfer_syntax_uid="",
        path=store.write_result("1.json", data, NOON),
        size=len(data),
        file_sha256=hashlib.sha256(data).hexdigest(),
    )


def states(sending: Sending) -> set[DeliveryState]:
    """Return the states of all deliveries."""
    return {each.state for each in rows(sending.database, Delivery)}
