"""Webhooks: signed documents, and how whatever a web server may do to us is taken."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from db.files import FileStore
from scp_service.answer import Answer, Outcome, PeerError
from scp_service.destinations.webhook import message_id
from settings import Settings
from tests import peers
from tests.scp_service.destinations.documents import FAILED, REVISED, document, encoded
from tests.scp_service.destinations.sending import (
    Certificates,
    connected,
    parcel,
    probe,
    send,
    settings_for,
)
from tests.scp_service.destinations.web_servers import Asked, Told, WebServer

KEY = bytes(range(32))
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"


def to(url: str, **values: Any) -> Settings:
    return settings_for("webhook", url=url, **{"secret": SECRET, **values})


def accepts(_: Asked) -> Told:
    return Told(204)


def signature(asked: Asked) -> str:
    """Sign a request anew, as the Standard Webhooks specification says."""
    signed = f"{asked.headers['webhook-id']}.{asked.headers['webhook-timestamp']}.".encode()
    digest = hmac.new(KEY, signed + asked.body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def answer_for(store: FileStore, told: Told) -> Answer:
    with WebServer(lambda _: told) as hook:
        (answer,) = send(to(hook.url), store, parcel(store, encoded()))
    return answer


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


# --- what is posted --------------------------------------------------------------------------


def test_documents_are_posted_as_they_are_and_signed(store: FileStore) -> None:
    reports = [encoded(), encoded(**REVISED), encoded(**FAILED)]
    before = time.time()
    with WebServer(accepts) as hook:
        answers = send(to(f"{hook.url}/a/b"), store, *(parcel(store, each) for each in reports))
    assert [each.outcome for each in answers] == [Outcome.STORED] * 3
    assert [each.body for each in hook.asked] == reports
    for asked in hook.asked:
        assert (asked.method, asked.target) == ("POST", "/a/b")
        assert asked.headers["Content-Type"] == "application/json"
        assert asked.headers["webhook-signature"] == signature(asked)
        assert int(before) <= int(asked.headers["webhook-timestamp"]) <= time.time()
    assert json.loads(hook.asked[0].body)["report"]["priority"] == "urgent"


def test_a_repetition_is_known_by_its_id_and_a_revision_has_another(store: FileStore) -> None:
    with WebServer(accepts) as hook:
        send(to(hook.url), store, *(parcel(store, encoded()) for _ in range(2)))
        send(to(hook.url), store, parcel(store, encoded(**REVISED)))
    first, again, revised = (asked.headers["webhook-id"] for asked in hook.asked)
    assert first == again == message_id(document().report.uid) != revised
    assert "." not in first


def test_the_secret_is_read_anew_from_its_file(store: FileStore, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(SECRET)
    with WebServer(accepts) as hook:
        settings = to(hook.url, secret=f"file:{file}")
        send(settings, store, parcel(store, encoded()))
        assert hook.asked[0].headers["webhook-signature"] == signature(hook.asked[0])
        file.write_text("hush")
        with pytest.raises(PeerError, match="cannot be signed: a secret is whsec_") as raised:
            send(settings, store, parcel(store, encoded()))
        file.unlink()
        with pytest.raises(PeerError, match="cannot be signed: the secret's file"):
            probe(settings)
    assert "hush" not in str(raised.value)


def test_a_file_that_is_no_document_is_not_posted(store: FileStore) -> None:
    with WebServer(accepts) as hook, pytest.raises(Exception, match="result document"):
        send(to(hook.url), store, parcel(store, b"{}"))
    assert hook.asked == []


# --- what is answered ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, Outcome.STORED),
        (202, Outcome.STORED),
        (204, Outcome.STORED),
        (400, Outcome.REFUSED),
        (409, Outcome.REFUSED),
        (410, Outcome.REJECTED),
        (413, Outcome.REFUSED),
        (422, Outcome.REFUSED),
        (500, Outcome.TEMPORARY),
        (501, Outcome.REFUSED),
        (507, Outcome.TEMPORARY),
    ],
)
def test_what_an_answer_means_for_the_report(
    store: FileStore, status: int, outcome: Outcome
) -> None:
    answer = answer_for(store, Told(status, b"" if status == 204 else b"Ann Other is ill"))
    assert (answer.outcome, answer.status) == (outcome, status)
    assert "Ann" not in answer.reason
    assert answer.stored or str(status) in answer.reason


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (301, "sends us elsewhere"),
        (308, "sends us elsewhere"),
        (401, "does not accept our login"),
        (403, "does not accept our login"),
        (404, "nothing for us at its URL"),
        (405, "nothing for us at its URL"),
        (429, "is busy"),
        (502, "is busy"),
        (503, "is busy"),
    ],
)
def test_what_speaks_of_the_server_makes_all_wait(
    store: FileStore, status: int, reason: str
) -> None:
    with pytest.raises(PeerError, match=f"{reason}.*{status}"):
        answer_for(store, Told(status))


def test_no_redirect_is_followed(store: FileStore) -> None:
    with (
        WebServer(accepts) as elsewhere,
        WebServer(lambda _: Told(307, headers={"Location": elsewhere.url})) as hook,
        pytest.raises(PeerError),
    ):
        send(to(hook.url), store, parcel(store, encoded()))
    assert elsewhere.asked == []


@pytest.mark.parametrize(
    ("seconds", "as_a_date", "at_least", "at_most"),
    [(120, False, 120, 120), (600, True, 500, 600), (-600, True, 0, 0)],
)
def test_a_server_says_how_long_to_wait(
    store: FileStore, seconds: int, as_a_date: bool, at_least: float, at_most: float
) -> None:
    until = format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)
    value = until if as_a_date else str(seconds)
    with pytest.raises(PeerError) as raised:
        answer_for(store, Told(503, headers={"Retry-After": value}))
    assert raised.value.retry_after_seconds is not None
    assert at_least <= raised.value.retry_after_seconds <= at_most


@pytest.mark.parametrize("value", ["", "soon", "-1", "٣", "1e9999"])
def test_a_wait_that_cannot_be_read_is_none(store: FileStore, value: str) -> None:
    raw = f"HTTP/1.1 503 Busy\r\nRetry-After: {value}\r\nContent-Length: 0\r\n\r\n".encode()
    with WebServer(lambda _: raw) as hook, pytest.raises(PeerError) as raised:
        send(to(hook.url), store, parcel(store, encoded()))
    assert raised.value.retry_after_seconds is None


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "closed the connection"),
        (b"220 smtp.example.org\r\n", "no HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "closed the connection"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1_100_000, "longer than any"),
    ],
)
def test_whoever_does_not_answer_gets_it_again_later(
    store: FileStore, raw: bytes, reason: str
) -> None:
    with WebServer(lambda _: raw) as hook, pytest.raises(PeerError, match=reason):
        send(to(hook.url), store, parcel(store, encoded()))


def test_a_silent_server_is_not_waited_for_for_ever(store: FileStore) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings = to(f"http://127.0.0.1:{server.getsockname()[1]}", timeout_seconds=0.3)
        with pytest.raises(PeerError, match="did not answer in time"):
            send(settings, store, parcel(store, encoded()))


def test_a_server_that_drips_is_not_waited_for_for_ever(store: FileStore) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        connected(
            to(f"http://127.0.0.1:{server.getsockname()[1]}", timeout_seconds=0.5), store
        ) as connection,
    ):
        done = threading.Event()

        def drip() -> None:
            peer, _ = server.accept()
            with peer:
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
                while not done.wait(0.1):
                    peer.sendall(b"x")

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            with pytest.raises(PeerError, match="did not answer in time"):
                connection.send(parcel(store, encoded()))
        finally:
            done.set()
            dripping.join()


def test_a_server_that_is_down(store: FileStore) -> None:
    with pytest.raises(PeerError, match=r"cannot be reached \(Connection refused\)"):
        send(to(f"http://127.0.0.1:{peers.free_port()}"), store, parcel(store, encoded()))
    with pytest.raises(PeerError, match="cannot be reached"):
        send(to("http://nobody.invalid"), store, parcel(store, encoded()))


# --- who we are ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("login", "header"),
    [
        ({"token": "abc.DEF=="}, "Bearer abc.DEF=="),
        ({"username": "ü", "password": "p:w"}, "Basic w7w6cDp3"),
        ({}, None),
    ],
)
def test_the_login_goes_with_every_request(
    store: FileStore, login: dict[str, str], header: str | None
) -> None:
    with WebServer(accepts) as hook:
        send(to(hook.url, **login), store, parcel(store, encoded()))
    assert hook.asked[0].headers["Authorization"] == header


def test_a_token_that_cannot_be_one_is_not_shown(store: FileStore) -> None:
    with pytest.raises(PeerError, match="characters that no bearer token has") as raised:
        send(to("http://127.0.0.1:1", token="hush\r\nX: y"), store)
    assert "hush" not in str(raised.value)


def test_proxies_of_the_environment_do_not_get_reports(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with WebServer(accepts) as proxy, WebServer(accepts) as hook:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        send(to(hook.url), store, parcel(store, encoded()))
        assert (len(proxy.asked), len(hook.asked)) == (0, 1)
        send(to("http://hook.invalid/x", proxy=proxy.url), store, parcel(store, encoded()))
        assert proxy.asked[0].target == "http://hook.invalid/x"


def test_tls_with_certificates_on_both_sides(store: FileStore, certificates: Certificates) -> None:
    with WebServer(accepts, certificates.server(asks_for_certificate=True)) as hook:
        ours = {"ca": certificates.ca, "certificate": certificates.client}
        answers = send(to(hook.url, tls=ours), store, parcel(store, encoded()))
        assert [each.outcome for each in answers] == [Outcome.STORED]
        with pytest.raises(PeerError, match="wants a certificate, and none is configured"):
            send(to(hook.url, tls={"ca": certificates.ca}), store, parcel(store, encoded()))
    assert len(hook.asked) == 1


def test_a_server_that_cannot_prove_who_it_is_gets_nothing(
    store: FileStore, certificates: Certificates
) -> None:
    with WebServer(accepts, certificates.server()) as hook:
        by_another_name = hook.url.replace("127.0.0.1", "localhost")
        for settings in (to(hook.url), to(by_another_name, tls={"ca": certificates.ca})):
            with pytest.raises(PeerError, match="certificate is not accepted"):
                send(settings, store, parcel(store, encoded()))
    assert hook.asked == []


def test_a_server_without_tls_gets_nothing_that_was_meant_to_be_secret(store: FileStore) -> None:
    with WebServer(accepts) as hook, pytest.raises(PeerError, match="TLS failed"):
        send(to(hook.url.replace("http:", "https:")), store, parcel(store, encoded()))
    assert hook.asked == []


# --- probes ----------------------------------------------------------------------------------


def test_a_probe_posts_nothing_and_takes_any_answer(store: FileStore) -> None:
    with WebServer(lambda _: Told(404)) as hook:
        probe(to(hook.url))
    assert [each.method for each in hook.asked] == ["OPTIONS"]
    with pytest.raises(PeerError, match="cannot be reached"):
        probe(to(hook.url))
