"""Delivery over MLLP: to a server of another library, and to receivers that misbehave."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from db.files import FileStore
from scp_service.answer import Outcome, PeerError
from scp_service.destinations.hl7.message import control_id
from settings import Settings
from tests import peers
from tests.scp_service.destinations.documents import FAILED, REVISED, document, encoded
from tests.scp_service.destinations.hl7_receivers import (
    ScriptedReceiver,
    StrictReceiver,
    acknowledgement,
    control_id_of,
)
from tests.scp_service.destinations.sending import (
    Certificates,
    connected,
    parcel,
    probe,
    send,
    settings_for,
)


def to(port: int, **values: Any) -> Settings:
    return settings_for("hl7", host="127.0.0.1", port=port, **values)


def accepts(block: bytes) -> bytes:
    return acknowledgement("AA", control_id_of(block))


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


def test_reports_arrive_in_order_at_a_receiver_that_hangs_up_after_each(store: FileStore) -> None:
    with StrictReceiver() as ris:
        reports = [encoded(), encoded(**REVISED), encoded(**FAILED)]
        answers = send(to(ris.port), store, *(parcel(store, each) for each in reports))
    assert [each.outcome for each in answers] == [Outcome.STORED] * 3
    assert [message.msh.msh_10.value for message in ris.received] == [
        control_id(document(**changes)) for changes in ({}, REVISED, FAILED)
    ]


def test_a_receiver_that_keeps_the_connection_gets_all_over_it(store: FileStore) -> None:
    with ScriptedReceiver(accepts) as ris:
        send(to(ris.port), store, *(parcel(store, encoded()) for _ in range(3)))
    assert (ris.connections, len(ris.received)) == (1, 3)
    assert len(set(ris.received)) == 1


def test_the_site_decides_who_sends_to_whom(store: FileStore) -> None:
    values = {"sending_facility": "ROOM|1", "receiving_application": "RIS", "processing_id": "T"}
    with StrictReceiver() as ris:
        send(to(ris.port, **values), store, parcel(store, encoded()))
    (message,) = ris.received
    assert message.msh.msh_3.value == "HILUM"
    assert message.msh.msh_4.to_er7() == "ROOM\\F\\1"
    assert (message.msh.msh_5.value, message.msh.msh_11.value) == ("RIS", "T")


@pytest.mark.parametrize(
    ("code", "more", "outcome"),
    [
        ("AE", (), Outcome.REFUSED),
        ("AE", ("ERR|||207^Application internal error",), Outcome.TEMPORARY),
        ("AR", (), Outcome.REJECTED),
    ],
)
def test_a_refusal_is_told_and_the_next_report_sent(
    store: FileStore, code: str, more: tuple[str, ...], outcome: Outcome
) -> None:
    first = control_id(document())

    def script(block: bytes) -> bytes:
        refused = control_id_of(block) == first
        return acknowledgement(code, first, *more) if refused else accepts(block)

    with ScriptedReceiver(script) as ris:
        reports = [parcel(store, encoded()), parcel(store, encoded(**REVISED))]
        refused, stored = send(to(ris.port), store, *reports)
    assert (refused.outcome, stored.outcome) == (outcome, Outcome.STORED)
    assert refused.reason.startswith(f"it answered {code}")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (lambda _: acknowledgement("AA", "another"), "acknowledged another message"),
        (lambda _: b"\x0bhello\x1c\r", "no acknowledgement"),
        (lambda _: b"HTTP/1.1 200 OK\r\n\x1c\r", "no MLLP block"),
        (lambda _: b"\x0b" + b"x" * 1_200_000, "no MLLP block"),
        (lambda _: b"", "did not answer in time"),
        (lambda _: b"\x0bMSH|^~", "did not answer in time"),
        (lambda _: None, "closed the connection before it answered"),
    ],
)
def test_whoever_does_not_acknowledge_gets_it_again_later(
    store: FileStore, script: Any, reason: str
) -> None:
    with ScriptedReceiver(script) as ris, pytest.raises(PeerError, match=reason):
        send(to(ris.port, timeout_seconds=0.5), store, parcel(store, encoded()))


def test_a_receiver_that_hangs_up_in_its_answer_gets_it_again_later(store: FileStore) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        connected(to(server.getsockname()[1]), store) as connection,
    ):
        peer, _ = server.accept()
        with peer:
            peer.sendall(b"\x0bMSH|")
        with pytest.raises(PeerError, match="in the middle of its answer"):
            connection.send(parcel(store, encoded()))


def test_a_receiver_that_is_down_is_told_before_anything_is_sent(store: FileStore) -> None:
    with pytest.raises(PeerError, match="cannot be reached"):
        send(to(peers.free_port()), store)


def test_a_probe_sends_no_message(store: FileStore) -> None:
    with ScriptedReceiver(accepts) as ris:
        probe(to(ris.port))
        peers.wait_until(lambda: ris.connections == 1, "the probe to come")
    assert ris.received == []
    with pytest.raises(PeerError, match="cannot be reached"):
        probe(to(ris.port))


def test_a_file_that_is_no_document_is_not_sent(store: FileStore) -> None:
    with ScriptedReceiver(accepts) as ris, pytest.raises(Exception, match="result document"):
        send(to(ris.port), store, parcel(store, b"{}"))
    assert ris.received == []


def test_tls_with_certificates_on_both_sides(store: FileStore, certificates: Certificates) -> None:
    with StrictReceiver(certificates.server(asks_for_certificate=True)) as ris:
        ours = {"enabled": True, "ca": certificates.ca, "certificate": certificates.client}
        answers = send(to(ris.port, tls=ours), store, parcel(store, encoded()))
    assert [each.outcome for each in answers] == [Outcome.STORED]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"ca": None}, "certificate is not accepted"), ({"server_name": "ris"}, "not accepted")],
)
def test_a_receiver_that_cannot_prove_who_it_is_gets_nothing(
    store: FileStore, certificates: Certificates, changes: dict[str, Any], reason: str
) -> None:
    ours = {"enabled": True, "ca": certificates.ca, **changes}
    with (
        StrictReceiver(certificates.server()) as ris,
        pytest.raises(PeerError, match=reason),
    ):
        send(to(ris.port, tls=ours), store, parcel(store, encoded()))
    assert ris.received == []


def test_a_certificate_file_that_cannot_be_used_is_named(store: FileStore, tmp_path: Path) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    with pytest.raises(PeerError, match=r"broken\.pem: no certificate"):
        send(to(1, tls={"enabled": True, "ca": broken}), store)
