"""STOW-RS: to Orthanc, and to servers that take less or say otherwise."""

from __future__ import annotations

import json
from collections.abc import Iterator
from email import message_from_bytes
from io import BytesIO
from typing import Any

import pytest
from pydicom import Dataset, dcmread

from db.deliveries import Parcel
from db.files import FileStore
from scp_service.answer import Outcome, PeerError
from scp_service.destinations.adapt import twin_uid
from settings import Settings
from tests import peers
from tests.scp_service.destinations.sending import parcel, probe, send, settings_for
from tests.scp_service.destinations.web_servers import Asked, Script, Told, WebServer
from tests.scp_service.results import file, sc, sr
from tests.scp_service.scripted import EXPLICIT, IMPLICIT, JPEG, SC, SR, SR_2D

LOGIN = {"username": "hilum", "password": "hush"}


def to(url: str, **values: Any) -> Settings:
    return settings_for("dicomweb", url=url, **values)


def wrapped(store: FileStore, dataset: Dataset) -> Parcel:
    return parcel(
        store,
        file(dataset),
        kind="sr" if dataset.Modality == "SR" else "sc",
        sop_class_uid=str(dataset.SOPClassUID),
        sop_instance_uid=str(dataset.SOPInstanceUID),
        transfer_syntax_uid=str(dataset.file_meta.TransferSyntaxUID),
    )


def posted(asked: Asked) -> Dataset:
    """Read the one object of a store request, as the standard library reads MIME."""
    head = f"Content-Type: {asked.headers['Content-Type']}\r\n\r\n".encode()
    (part,) = message_from_bytes(head + asked.body).get_payload()
    assert part.get_content_type() == "application/dicom"
    return dcmread(BytesIO(part.get_payload(decode=True)))


def failed(reason: int, status: int = 409) -> Told:
    item = {"00081197": {"vr": "US", "Value": [reason]}}
    body = {"00081198": {"vr": "SQ", "Value": [item]}}
    return Told(status, json.dumps(body).encode(), {"Content-Type": "application/dicom+json"})


def stored(dataset: Dataset, status: int = 200) -> Told:
    item = {"00081155": {"vr": "UI", "Value": [str(dataset.SOPInstanceUID)]}}
    return Told(status, json.dumps({"00081199": {"vr": "SQ", "Value": [item]}}).encode())


def takes(*contexts: tuple[str, str]) -> Script:
    """Answer as a server that takes only these SOP classes in these transfer syntaxes."""

    def script(asked: Asked) -> Told:
        dataset = posted(asked)
        if dataset.SOPClassUID not in {sop_class for sop_class, _ in contexts}:
            return failed(0x0122)
        if (dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID) not in contexts:
            return failed(0xC122)
        return stored(dataset)

    return script


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[peers.Orthanc]:
    folder = tmp_path_factory.mktemp("web")
    with peers.orthanc(folder, config=peers.with_dicomweb(), login=LOGIN) as server:
        yield server


# --- Orthanc ---------------------------------------------------------------------------------


def test_orthanc_keeps_every_object_as_it_was_sent(
    store: FileStore, orthanc: peers.Orthanc
) -> None:
    objects = [sr(), sc()]
    parcels = [wrapped(store, each) for each in objects]
    answers = send(to(orthanc.dicomweb, **LOGIN), store, *parcels)
    assert [each.outcome for each in answers] == [Outcome.STORED] * 2
    assert [each.sent_as for each in answers] == [None, None]
    kept = {orthanc.file(each) for each in orthanc.instances()}
    assert {file(each) for each in objects} <= kept


def test_what_orthanc_has_already_is_stored(store: FileStore, orthanc: peers.Orthanc) -> None:
    result = wrapped(store, sr())
    answers = send(to(orthanc.dicomweb, **LOGIN), store, result, result)
    assert [each.outcome for each in answers] == [Outcome.STORED] * 2


def test_orthanc_says_who_may_not_come_in_and_where_nothing_is(
    store: FileStore, orthanc: peers.Orthanc
) -> None:
    probe(to(orthanc.dicomweb, **LOGIN))
    with pytest.raises(PeerError, match=r"does not accept our login \(HTTP status 401\)") as raised:
        send(to(orthanc.dicomweb, token="wrong"), store, wrapped(store, sr()))
    assert "wrong" not in str(raised.value)
    elsewhere = to(f"{orthanc.dicomweb}/elsewhere", **LOGIN)
    with pytest.raises(PeerError, match="nothing for us at its URL"):
        probe(elsewhere)
    with pytest.raises(PeerError, match="nothing for us at its URL"):
        send(elsewhere, store, wrapped(store, sr()))


# --- servers that take less ------------------------------------------------------------------


def test_a_server_that_knows_only_comprehensive_sr_gets_the_twin(store: FileStore) -> None:
    results = [wrapped(store, sr()) for _ in range(2)]
    with WebServer(takes((SR_2D, EXPLICIT))) as server:
        answers = send(to(server.url), store, *results)
        # What it does not take is tried once, not for every report.
        assert len(server.asked) == 1 + len(results)
    assert [each.sent_as for each in answers] == [
        twin_uid(each.sop_instance_uid) for each in results
    ]
    twin = posted(server.asked[-1])
    assert (twin.SOPClassUID, twin.SOPInstanceUID) == (SR_2D, answers[-1].sent_as)
    assert twin.ContentSequence[0].TextValue == "No sign of pneumonia."


def test_a_profile_may_ask_for_the_twin_at_once(store: FileStore) -> None:
    with WebServer(takes((SR, EXPLICIT), (SR_2D, EXPLICIT))) as server:
        send(to(server.url, sr="comprehensive"), store, wrapped(store, sr()))
    assert [posted(each).SOPClassUID for each in server.asked] == [SR_2D]


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_a_server_that_takes_no_jpeg_gets_the_pixels(store: FileStore, syntax: str) -> None:
    result = sc()
    with WebServer(takes((SC, syntax))) as server:
        (answer,) = send(to(server.url), store, wrapped(store, result))
    assert answer.outcome is Outcome.STORED
    assert answer.sent_as is None
    arrived = posted(server.asked[-1])
    assert arrived.file_meta.TransferSyntaxUID == syntax
    assert arrived.SOPInstanceUID == result.SOPInstanceUID
    assert len(arrived.PixelData) == arrived.Rows * arrived.Columns * 3


def test_a_server_that_takes_nothing_of_ours_refuses(store: FileStore) -> None:
    with WebServer(takes((SC, JPEG))) as server:
        answer, other = send(to(server.url), store, wrapped(store, sr()), wrapped(store, sc()))
    assert answer.outcome is Outcome.REFUSED
    assert "failure reason 0122" in answer.reason
    assert other.outcome is Outcome.STORED


# --- what is answered ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "outcome", "reason"),
    [
        (Told(200), Outcome.STORED, ""),
        (Told(200, b"<NativeDicomModel/>"), Outcome.STORED, ""),
        (Told(202), Outcome.REFUSED, "did not say that it stored"),
        (Told(204), Outcome.REFUSED, "did not say that it stored"),
        (failed(0xA700), Outcome.TEMPORARY, "HTTP status 409, failure reason A700"),
        (failed(0x0110), Outcome.REFUSED, "failure reason 0110"),
        (failed(0xA900, 202), Outcome.REFUSED, "HTTP status 202, failure reason A900"),
        (failed(0xC000, 200), Outcome.REFUSED, "failure reason C000"),
        (Told(400, b"Ann Other"), Outcome.REFUSED, "it answered HTTP status 400"),
        (Told(409), Outcome.REFUSED, "it answered HTTP status 409"),
        (Told(415), Outcome.REFUSED, "it answered HTTP status 415"),
        (Told(500), Outcome.TEMPORARY, "it answered HTTP status 500"),
        (Told(507), Outcome.TEMPORARY, "it answered HTTP status 507"),
    ],
)
def test_what_an_answer_means_for_the_object(
    store: FileStore, told: Told, outcome: Outcome, reason: str
) -> None:
    with WebServer(lambda _: told) as server:
        (answer,) = send(to(server.url), store, wrapped(store, sr()))
    assert answer.outcome is outcome
    assert reason in answer.reason
    assert "Ann" not in answer.reason


def test_a_warning_means_stored(store: FileStore) -> None:
    with WebServer(lambda asked: stored(posted(asked), 202)) as server:
        (answer,) = send(to(server.url), store, wrapped(store, sr()))
    assert answer.outcome is Outcome.STORED


def test_what_was_stored_is_ours_or_it_does_not_count(store: FileStore) -> None:
    with WebServer(lambda _: stored(sr(), 202)) as server:
        (answer,) = send(to(server.url), store, wrapped(store, sr()))
    assert answer.outcome is Outcome.REFUSED


def test_a_probe_asks_for_nobody(store: FileStore) -> None:
    with WebServer(lambda _: Told(405)) as server:
        probe(to(server.url))
    (asked,) = server.asked
    assert (asked.method, asked.target) == ("GET", "/studies?StudyInstanceUID=2.25.0")
