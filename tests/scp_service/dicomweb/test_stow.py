"""STOW-RS in: what a sender is answered, and that what is acknowledged is kept."""

from __future__ import annotations

import logging
import random
import socket
import ssl
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import requests
from dicomweb_client import DICOMwebClient
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import CTImageStorage, RLELossless
from sqlalchemy import func, select

from commands import doctor_sources
from db.files import FileStore
from db.models import Instance, Study, Task
from db.session import Database
from scp_service import http_server
from scp_service.certificates import Trial, make_trial
from settings import Settings, SettingsError, load
from tests import peers
from tests.scp_service.dicomweb.posting import BOUNDARY, RELATED, file, multipart, post, stow
from tests.scp_service.films import cr, encode, uid
from tests.scp_service.running import associated, listener, status

STORED, FAILED, OTHERS = "ReferencedSOPSequence", "FailedSOPSequence", "OtherFailuresSequence"
DICOM_JSON = "application/dicom+json"


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    """Certificates of this machine."""
    folder = tmp_path_factory.mktemp("trial")
    return make_trial(folder, ["127.0.0.1"], days=30, now=datetime.now(UTC))


def connected(settings: Settings) -> socket.socket:
    return socket.create_connection(("127.0.0.1", settings.dicomweb.port), timeout=30)


def held(database: Database) -> list[Instance]:
    with database.read() as session:
        return list(session.scalars(select(Instance).order_by(Instance.id)))


def assert_nothing_left_over(store: FileStore) -> None:
    """Check that what was put down on the way is gone."""
    assert not list(store.root.glob("incoming/*/*.part"))
    assert not [path for path in store.root.iterdir() if path.name.startswith("tmp")]


def test_a_film_is_kept_as_one_that_came_by_c_store_and_its_source_is_named(
    database: Database, store: FileStore
) -> None:
    film = cr()
    with stow(database, store) as settings:
        client = DICOMwebClient(f"http://127.0.0.1:{settings.dicomweb.port}/dicomweb")
        told = client.store_instances([dcmread(BytesIO(file(film)))])
    (reference,) = told.ReferencedSOPSequence
    assert reference.ReferencedSOPInstanceUID == film.SOPInstanceUID
    assert "FailedSOPSequence" not in told
    (instance,) = held(database)
    assert (instance.source_ae, instance.called_ae) == ("STOW-RS", "HILUM")
    assert instance.source_address == "127.0.0.1"
    assert store.digest(instance.path) == instance.file_sha256
    kept = dcmread(store.path(instance.path))
    assert kept == film
    with database.read() as session:
        assert session.scalars(select(Task.kind)).all() == ["read"]
    assert_nothing_left_over(store)


def test_the_bytes_of_the_data_set_stay_as_they_came(database: Database, store: FileStore) -> None:
    film = cr(RLELossless, PixelData=encapsulate([b"\r\n--a-bound\r\n--a-boundar\r\n--\r\n"]))
    content = file(film)
    with stow(database, store) as settings:
        answer = post(settings, [bytes([byte]) for byte in multipart(content)])
    assert (answer.status, answer.told) == (200, {STORED: [(film.SOPInstanceUID, None)]})
    (instance,) = held(database)
    assert instance.transfer_syntax_uid == RLELossless
    encoded = encode(film, RLELossless)
    assert content.endswith(encoded)
    assert store.path(instance.path).read_bytes().endswith(encoded)


def test_a_single_file_needs_no_parts(database: Database, store: FileStore) -> None:
    film = cr()
    with stow(database, store) as settings:
        answer = post(settings, file(film), Content_Type="application/dicom")
    assert (answer.status, answer.told) == (200, {STORED: [(film.SOPInstanceUID, None)]})


def test_films_of_a_study_by_stow_and_by_c_store_are_one_study_and_a_repeated_one_is_one(
    database: Database, store: FileStore
) -> None:
    study = uid()
    films = [cr(StudyInstanceUID=study) for _ in range(2)]
    with listener(database, store) as dimse, associated(dimse) as association:
        assert status(association, films[0]) == 0x0000
    with stow(database, store) as settings:
        path = f"/dicomweb/studies/{study}"
        assert post(settings, multipart(*map(file, films)), path=path).status == 200
    assert [each.source_ae for each in held(database)] == ["MODALITY", "STOW-RS"]
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Study)) == 1


def test_each_film_that_is_not_stored_is_named_with_its_reason_and_the_others_are_stored(
    database: Database, store: FileStore, caplog: pytest.LogCaptureFixture
) -> None:
    good, ct = cr(), cr(SOPClassUID=CTImageStorage)
    foreign = cr(RLELossless, PixelData=encapsulate([b"\0" * 64]))
    without_study, ct_within = cr(StudyInstanceUID=None), cr()
    contents = [file(each) for each in (good, ct, foreign, without_study, ct_within)]
    before, _, after = contents[4].rpartition(ct_within.SOPClassUID.encode())
    contents[4] = before + CTImageStorage.encode() + after
    with stow(database, store, listener__transfer_syntaxes=["1.2.840.10008.1.2.1"]) as settings:
        answer = post(settings, multipart(*contents, b"no DICOM file", b""))
    assert answer.status == 202
    assert answer.headers["Content-Type"] == DICOM_JSON
    assert answer.told == {
        STORED: [(good.SOPInstanceUID, None)],
        FAILED: [
            (ct.SOPInstanceUID, 0x0122),
            (foreign.SOPInstanceUID, 0xC122),
            (without_study.SOPInstanceUID, 0xC000),
            (ct_within.SOPInstanceUID, 0x0122),
        ],
        OTHERS: [("", 0xC000), ("", 0xC000)],
    }
    assert [each.sop_instance_uid for each in held(database)] == [good.SOPInstanceUID]
    assert not any(each.SOPInstanceUID in caplog.text for each in (ct, foreign, without_study))
    assert_nothing_left_over(store)


def test_a_film_is_stored_under_the_uid_of_its_data_set_whatever_its_file_is_named(
    database: Database, store: FileStore
) -> None:
    """Files of real devices are met that differ."""
    film = cr()
    name = film.SOPInstanceUID.encode()
    content = file(film).replace(name, name[:-1] + b"x", 1)
    with stow(database, store) as settings:
        answer = post(settings, multipart(content))
    assert (answer.status, answer.told) == (200, {STORED: [(film.SOPInstanceUID, None)]})
    (instance,) = held(database)
    kept = dcmread(store.path(instance.path))
    assert kept.file_meta.MediaStorageSOPInstanceUID == kept.SOPInstanceUID == film.SOPInstanceUID


def test_a_film_of_another_study_than_the_urls_is_refused(
    database: Database, store: FileStore
) -> None:
    film = cr()
    with stow(database, store) as settings:
        answer = post(settings, multipart(file(film)), path=f"/dicomweb/studies/{uid()}")
    assert (answer.status, answer.told) == (409, {FAILED: [(film.SOPInstanceUID, 0xA900)]})
    assert not held(database)


@pytest.mark.parametrize(
    ("expected", "how"),
    [
        (415, {"Content_Type": "application/json"}),
        (415, {"Content_Type": 'multipart/related; type="application/dicom+json"; boundary=a'}),
        (415, {"Content_Type": "multipart/form-data; boundary=a"}),
        (415, {"Content_Encoding": "gzip"}),
        (400, {"Content_Type": 'multipart/related; type="application/dicom"'}),
        (400, {"Content_Type": RELATED.replace(BOUNDARY, "another")}),
        (406, {"Accept": "application/dicom+xml"}),
        (406, {"Accept": "application/dicom+json; q=0"}),
        (400, {"path": "/dicomweb/studies/patient"}),
        (405, {"method": "GET"}),
        (404, {"path": "/dicomweb/instances"}),
    ],
)
def test_what_is_no_store_request_is_answered_by_its_http_status(
    expected: int, how: dict[str, Any], database: Database, store: FileStore
) -> None:
    with stow(database, store) as settings:
        answer = post(settings, multipart(file(cr())), **how)
    assert answer.status == expected
    assert answer.body.endswith(b"\n")
    assert not held(database)


@pytest.mark.parametrize(
    "accept", ["application/dicom+json", "application/*;q=0.5", "*/*", "text/html, */*;q=0.1"]
)
def test_whoever_takes_dicom_json_among_others_gets_it(
    accept: str, database: Database, store: FileStore
) -> None:
    with stow(database, store) as settings:
        answer = post(settings, multipart(file(cr())), Accept=accept)
    assert (answer.status, answer.headers["Content-Type"]) == (200, DICOM_JSON)


def test_a_body_that_breaks_off_is_told_and_what_was_whole_before_is_stored(
    database: Database, store: FileStore
) -> None:
    body = multipart(file(cr()), file(cr()))
    with stow(database, store) as settings:
        answer = post(settings, body[: len(body) - 300])
    assert answer.status == 400
    assert b"ended before its closing boundary; 1 films that came before were stored" in answer.body
    assert len(held(database)) == 1
    assert_nothing_left_over(store)


def test_a_body_without_a_film_is_no_success(database: Database, store: FileStore) -> None:
    with stow(database, store) as settings:
        assert post(settings, f"--{BOUNDARY}--\r\n".encode()).status == 400


@pytest.mark.parametrize("in_chunks", [False, True])
def test_a_request_beyond_the_limit_is_refused(
    in_chunks: bool, database: Database, store: FileStore
) -> None:
    body = multipart(file(cr(PixelData=bytes(1_200_000))))
    with stow(database, store, max_request_bytes=1_048_576) as settings:
        answer = post(settings, [body[:600_000], body[600_000:]] if in_chunks else body)
    assert answer.status == 413
    assert not held(database)


def test_a_film_beyond_the_limit_costs_itself_alone(database: Database, store: FileStore) -> None:
    big, small = cr(PixelData=bytes(2_000_000)), cr()
    with stow(database, store, listener__max_dataset_bytes=1_048_576) as settings:
        answer = post(settings, multipart(file(big), file(small)))
    assert answer.status == 202
    assert answer.told == {STORED: [(small.SOPInstanceUID, None)], OTHERS: [("", 0xA700)]}


def test_more_parts_than_allowed_are_refused_and_those_before_said_to_be_stored(
    database: Database, store: FileStore
) -> None:
    body = multipart(*(file(cr()) for _ in range(3)))
    with stow(database, store, max_parts=2) as settings:
        answer = post(settings, body)
    assert answer.status == 413
    assert b"more than 2 parts" in answer.body


def test_without_room_the_sender_is_asked_to_come_again(
    database: Database, store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stow(database, store) as settings:
        monkeypatch.setattr(FileStore, "free_bytes", lambda _: -1)
        answer = post(settings, multipart(file(cr())))
        health = post(settings, b"", path="/health", method="GET")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "30")
    assert health.status == 503


def test_a_disk_that_fails_is_no_success_and_the_same_film_may_come_again(
    database: Database, store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = cr()
    with stow(database, store) as settings:
        with monkeypatch.context() as patched:
            patched.setattr("db.files.write_synced", _full)
            answer = post(settings, multipart(file(film)))
        assert (answer.status, answer.told) == (503, {FAILED: [(film.SOPInstanceUID, 0xA700)]})
        assert post(settings, multipart(file(film))).status == 200


def _full(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_with_a_token_nobody_sends_without_it(database: Database, store: FileStore) -> None:
    body = multipart(file(cr()))
    with stow(database, store, token="s3cret") as settings:
        refused = post(settings, body)
        wrong = post(settings, body, Authorization="Bearer s3cret2")
        assert not held(database)
        let_in = post(settings, body, Authorization="bearer s3cret")
        assert post(settings, b"", path="/health", method="GET").status == 200
    assert (refused.status, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert (wrong.status, let_in.status) == (401, 200)


def test_without_a_token_it_serves_this_machine_alone_and_says_so(
    database: Database, store: FileStore, caplog: pytest.LogCaptureFixture
) -> None:
    open_to_all = {"dicomweb.host": "0.0.0.0"}  # enabled or not: `hilum dicomweb` serves by itself
    with pytest.raises(SettingsError, match="dicomweb: a token is needed"):
        load(open_to_all, environ={})
    guarded = load({**open_to_all, "dicomweb.token": "x"}, environ={}).settings.dicomweb
    assert guarded.is_guarded
    assert guarded.is_in_the_clear
    with stow(database, store), caplog.at_level(logging.WARNING):
        pass
    assert "No token is configured: ANYONE on this machine may send" in caplog.text
    assert "UNENCRYPTED" not in caplog.text
    with stow(database, store, host="0.0.0.0", token="x"), caplog.at_level(logging.WARNING):
        pass
    assert "films and tokens come by STOW-RS UNENCRYPTED" in caplog.text


def test_over_tls_only_a_sender_with_a_certificate_of_an_allowed_name_gets_in(
    database: Database, store: FileStore, trial: Trial, caplog: pytest.LogCaptureFixture
) -> None:
    tls = {
        "tls__enabled": True,
        "tls__certificate": str(trial.server),
        "tls__ca": str(trial.ca),
        "tls__client_certificate": "required",
    }

    def send(port: int, certificate: Path | None) -> int:
        return requests.post(
            f"https://127.0.0.1:{port}/dicomweb/studies",
            data=multipart(file(cr())),
            headers={"Content-Type": RELATED},
            verify=str(trial.ca),
            cert=str(certificate) if certificate else None,
            timeout=30,
        ).status_code

    with stow(database, store, **tls) as settings:
        assert send(settings.dicomweb.port, trial.client) == 200
        with pytest.raises((requests.ConnectionError, ssl.SSLError)):
            send(settings.dicomweb.port, None)
    assert "A connection from a sender of STOW-RS was refused: the peer shows no" in caplog.text
    with (
        stow(database, store, **tls, tls__client_names=["another.test"]) as settings,
        pytest.raises(requests.ConnectionError),
    ):
        send(settings.dicomweb.port, trial.client)
    assert len(held(database)) == 1


def test_doctor_tells_whether_films_can_come(
    database: Database, store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stow(database, store, enabled=True) as settings:
        answers, open_to_all = doctor_sources.stow(settings)
        monkeypatch.setattr(FileStore, "free_bytes", lambda _: -1)
        full, _ = doctor_sources.stow(settings)
    free, _ = doctor_sources.stow(settings)
    with (
        socket.create_server(("127.0.0.1", settings.dicomweb.port)),
        monkeypatch.context() as hurry,
    ):
        hurry.setattr(doctor_sources, "PROBE_SECONDS", 0.2)
        taken, _ = doctor_sources.stow(settings)
    assert [each.verdict.value for each in (answers, full, free, taken)] == [
        "ok",
        "BAD",
        "note",
        "BAD",
    ]
    assert "anyone on this machine may send" in open_to_all.text


def test_no_damaged_request_brings_the_server_down_and_what_is_acknowledged_is_held(
    database: Database, store: FileStore, caplog: pytest.LogCaptureFixture
) -> None:
    """100 requests, each with a few bytes changed, left out or put in somewhere."""
    whim = random.Random(7)
    with stow(database, store, listener__max_dataset_bytes=1_048_576) as settings:
        for _ in range(100):
            body = bytearray(multipart(file(cr()), file(cr())))
            for _ in range(whim.randint(1, 4)):
                place, length = whim.randrange(len(body)), whim.choice([0, 1, 1, 4, 200])
                body[place : place + length] = whim.randbytes(whim.choice([0, 1, 1, 4]))
            answer = post(settings, bytes(body))
            assert answer.status in {200, 202, 400, 409}, answer.body
            if answer.status in (200, 202):
                acknowledged = {name for name, _ in answer.told[STORED]}
                assert acknowledged <= {each.sop_instance_uid for each in held(database)}
        assert post(settings, multipart(file(cr()))).status == 200
    assert "A request failed" not in caplog.text
    assert_nothing_left_over(store)


# Senders that take their time -------------------------------------------------------------------


def test_a_sender_that_says_nothing_or_half_a_header_is_hung_up_on(
    database: Database, store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "_PATIENCE_SECONDS", 0.2)
    with stow(database, store) as settings:
        for said in (b"", b"POST /dicomweb/studies HTTP/1.1\r\nHost: a\r\n"):
            with connected(settings) as connection:
                connection.sendall(said)
                assert connection.recv(100) == b""


def test_an_answer_waits_for_no_acknowledgement(
    database: Database, store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Header and body of an answer are two packets, and Nagle's algorithm would part them."""
    made, options = http_server.GuardedProtocol.connection_made, []

    def noted(self: http_server.GuardedProtocol, transport: Any) -> None:
        made(self, transport)
        connection = transport.get_extra_info("socket")
        options.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    monkeypatch.setattr(http_server.GuardedProtocol, "connection_made", noted)
    with stow(database, store) as settings:
        assert post(settings, multipart(file(cr()))).status == 200
    assert options
    assert all(options)


def test_connections_that_say_nothing_keep_nobody_out(database: Database, store: FileStore) -> None:
    with stow(database, store) as settings, ExitStack() as idle:
        for _ in range(300):
            idle.enter_context(connected(settings)).sendall(b"P")
        assert post(settings, multipart(file(cr()))).status == 200


def test_a_sender_that_begins_no_tls_on_a_port_of_tls_is_hung_up_on(
    database: Database, store: FileStore, trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "_PATIENCE_SECONDS", 0.2)
    with (
        stow(database, store, tls__enabled=True, tls__certificate=str(trial.server)) as settings,
        connected(settings) as connection,
    ):
        assert connection.recv(100) == b""


def test_a_sender_that_stops_in_the_middle_is_answered_and_leaves_nothing_over(
    database: Database, store: FileStore
) -> None:
    body = multipart(file(cr()), file(cr()))
    head = (
        f"POST /dicomweb/studies HTTP/1.1\r\nHost: a\r\nContent-Type: {RELATED}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with (
        stow(database, store, idle_timeout_seconds=0.3) as settings,
        connected(settings) as connection,
    ):
        connection.sendall(head.encode() + body[:-300])
        assert connection.recv(100).startswith(b"HTTP/1.1 408 ")
        assert_nothing_left_over(store)


def test_more_requests_at_once_than_allowed_are_told_to_come_again(
    database: Database, store: FileStore
) -> None:
    body = multipart(file(cr()))
    head = (
        f"POST /dicomweb/studies HTTP/1.1\r\nHost: a\r\nContent-Type: {RELATED}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with stow(database, store, max_requests=1) as settings:
        with connected(settings) as connection:
            connection.sendall(head.encode() + body[:100])
            busy: Callable[[], bool] = lambda: post(settings, body).status == 503  # noqa: E731
            peers.wait_until(busy, "the server to be busy")
            connection.sendall(body[100:])
            assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
        assert post(settings, body).status == 200


# A PACS that sends -------------------------------------------------------------------------------


def test_orthanc_sends_what_it_holds_by_stow_rs(
    database: Database, store: FileStore, tmp_path: Path
) -> None:
    films = [cr(), cr(RLELossless, PixelData=encapsulate([bytes(64)]))]
    paths = [tmp_path / f"{number}.dcm" for number in range(len(films))]
    for path, film in zip(paths, films, strict=True):
        path.write_bytes(file(film))
    config = peers.with_dicomweb()
    with stow(database, store, token="s3cret") as settings:
        us = {
            "Url": f"http://127.0.0.1:{settings.dicomweb.port}/dicomweb/",
            "HttpHeaders": {"Authorization": "Bearer s3cret"},
        }
        config["DicomWeb"]["Servers"] = {"hilum": us}
        with peers.orthanc(tmp_path / "orthanc", config=config) as orthanc:
            sent = peers.dcmsend(paths, orthanc.port, called=orthanc.ae_title)
            assert sent.accepted == len(films), sent.output
            command = {"Resources": orthanc.instances(), "Synchronous": True}
            orthanc.post("/dicom-web/servers/hilum/stow", command)
    came = {each.sop_instance_uid: each.transfer_syntax_uid for each in held(database)}
    assert came == {film.SOPInstanceUID: film.file_meta.TransferSyntaxUID for film in films}
