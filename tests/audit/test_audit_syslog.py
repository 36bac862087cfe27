"""Records on their way to a syslog server, over TLS and by UDP."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from audit import syslog
from audit.syslog import Sender
from settings import Syslog, Trust
from tests.peers import free_port, wait_until

AT = datetime(2026, 11, 29, 12, tzinfo=UTC)
HEAD = rb"<85>1 2026-11-29T12:00:00\.000\+00:00 \S+ hilum \d+ DICOM\+RFC3881 - \xef\xbb\xbf"


class Server:
    """A syslog server over TLS, of the standard library; `records` is what came, by RFC 5425."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self.records: list[bytes] = []
        self._context = context
        self._listening = socket.create_server(("127.0.0.1", port))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                plain, _ = self._listening.accept()
            except OSError:
                return
            try:
                with self._context.wrap_socket(plain, server_side=True) as secured:
                    self._read(secured.makefile("rb"))
            except OSError:
                plain.close()

    def _read(self, stream: object) -> None:
        while length := self._length(stream):
            self.records.append(stream.read(length))  # type: ignore[attr-defined]

    def _length(self, stream: object) -> int:
        digits = b""
        while (byte := stream.read(1)).isdigit():  # type: ignore[attr-defined]
            digits += byte
        return int(digits or b"0")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@contextmanager
def serving(port: int, authority: trustme.CA) -> Iterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with closing(Server(port, context)) as server:
        yield server


def _trusting(authority: trustme.CA, folder: Path) -> Trust:
    authority.cert_pem.write_to_path(folder / "ca.pem")
    return Trust(ca=folder / "ca.pem")


def test_records_go_over_tls_framed_by_their_length(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 5425; also what was recorded before the server was there."""
    monkeypatch.setattr(syslog, "_PAUSE_SECONDS", 0.05)
    port = free_port()
    to = Syslog(host="127.0.0.1", port=port, tls=_trusting(authority, tmp_path))
    sender = Sender(to)
    sender.send("<first/>", AT)
    with serving(port, authority) as server, closing(sender):
        sender.send("<second ü/>", AT)
        wait_until(lambda: len(server.records) == 2, "two records")
    for record, text in zip(server.records, ("<first/>", "<second ü/>"), strict=True):
        assert re.fullmatch(HEAD + re.escape(text.encode()), record)


def test_a_server_that_another_ca_signed_gets_nothing(
    authority: trustme.CA, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    to = Syslog(host="127.0.0.1", port=port, tls=_trusting(trustme.CA(), tmp_path))
    with serving(port, authority) as server, closing(Sender(to)) as sender:
        sender.send("<secret/>", AT)
        wait_until(lambda: "cannot be sent to syslog" in caplog.text, "the failure to be told")
    assert server.records == []


def test_records_go_by_udp_one_a_datagram() -> None:
    """RFC 5426."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)
        to = Syslog(host="127.0.0.1", port=server.getsockname()[1], transport="udp")
        with closing(Sender(to)) as sender:
            sender.send("<record/>", AT)
            assert re.fullmatch(HEAD + b"<record/>", server.recv(65_535))
