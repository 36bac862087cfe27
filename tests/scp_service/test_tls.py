"""DICOM over TLS, both ways, against DCMTK and against peers that do it wrong."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmwrite
from sqlalchemy import func, select

from db.files import FileStore
from db.models import Instance
from db.session import Database
from scp_service.answer import PeerError
from scp_service.certificates import Trial, make_trial
from scp_service.listener import listening
from scp_service.refusals import Refusals
from scp_service.store_scu import VERIFICATION, Peer, associated
from settings import ClientTls, Settings
from tests import peers
from tests.scp_service.films import cr
from tests.scp_service.running import configured

IMPLICIT = "1.2.840.10008.1.2"


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    """Certificates of this machine."""
    return make_trial(
        tmp_path_factory.mktemp("trial"), ["127.0.0.1"], days=30, now=datetime.now(UTC)
    )


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    """Certificates of another machine, signed by another CA."""
    return make_trial(
        tmp_path_factory.mktemp("foreign"), ["pacs.test"], days=30, now=datetime.now(UTC)
    )


@dataclass
class Listening:
    """Runs listeners, each with the TLS settings asked for."""

    database: Database
    store: FileStore
    trial: Trial
    stack: ExitStack = field(default_factory=ExitStack)

    def __call__(self, **tls: Any) -> Settings:
        given = {
            "enabled": True,
            "port": peers.free_port(),
            "certificate": self.trial.server,
            "ca": self.trial.ca,
            **tls,
        }
        values = {f"listener.tls.{key}": value for key, value in given.items()}
        settings = configured(self.store.root, **values)
        self.stack.enter_context(listening(settings, self.database, self.store))
        return settings

    def films(self) -> int:
        with self.database.read() as session:
            return session.scalar(select(func.count()).select_from(Instance)) or 0


@pytest.fixture
def listen(database: Database, store: FileStore, trial: Trial) -> Iterator[Listening]:
    made = Listening(database, store, trial)
    with made.stack:
        yield made


def shows(trial: Trial) -> tuple[str, ...]:
    """Options with which a tool of DCMTK shows a certificate and trusts the CA that signed it."""
    return ("+tls", str(trial.client), str(trial.client), "+cf", str(trial.ca))


def trusts(trial: Trial) -> tuple[str, ...]:
    """Options with which a tool of DCMTK shows no certificate."""
    return ("+tla", "+cf", str(trial.ca))


def film(folder: Path) -> Path:
    path = folder / "film.dcm"
    dcmwrite(path, cr(), enforce_file_format=True)
    return path


def await_log(caplog: pytest.LogCaptureFixture, text: str) -> None:
    peers.wait_until(lambda: text in caplog.text, f"the log to say: {text}", seconds=10)


# In ------------------------------------------------------------------------------------------


def test_a_film_comes_in_over_tls_and_the_plain_port_stays(
    listen: Listening, trial: Trial, tmp_path: Path
) -> None:
    settings = listen()
    sent = peers.storescu([film(tmp_path)], settings.listener.tls.port, options=trusts(trial))
    assert sent.accepted == 1, sent.output
    assert listen.films() == 1
    assert peers.echoscu(settings.listener.port, called="HILUM")


def test_many_films_in_one_association_come_in_over_tls(
    listen: Listening, trial: Trial, tmp_path: Path
) -> None:
    settings = listen(client_certificate="required")
    films = tmp_path / "films"
    films.mkdir()
    for number in range(20):
        dcmwrite(films / f"{number}.dcm", cr(), enforce_file_format=True)
    sent = peers.storescu([films], settings.listener.tls.port, options=shows(trial))
    assert sent.accepted == 20, sent.output
    assert listen.films() == 20


def test_only_peers_with_a_certificate_of_the_ca_are_let_in(
    listen: Listening, trial: Trial, foreign: Trial, caplog: pytest.LogCaptureFixture
) -> None:
    port = listen(client_certificate="required").listener.tls.port
    assert peers.echoscu(port, called="HILUM", options=shows(trial))
    assert not peers.echoscu(port, called="HILUM", options=trusts(trial))
    await_log(caplog, "the peer shows no certificate")
    stranger = ("+tls", str(foreign.client), str(foreign.client), "+cf", str(trial.ca))
    assert not peers.echoscu(port, called="HILUM", options=stranger)
    await_log(caplog, "the peer's certificate is not accepted")


def test_an_optional_certificate_may_be_missing_but_not_be_wrong(
    listen: Listening, trial: Trial, foreign: Trial
) -> None:
    port = listen(client_certificate="optional").listener.tls.port
    assert peers.echoscu(port, called="HILUM", options=trusts(trial))
    assert peers.echoscu(port, called="HILUM", options=shows(trial))
    stranger = ("+tls", str(foreign.client), str(foreign.client), "+cf", str(trial.ca))
    assert not peers.echoscu(port, called="HILUM", options=stranger)


def test_only_the_names_that_are_allowed_are_let_in(
    listen: Listening, trial: Trial, caplog: pytest.LogCaptureFixture
) -> None:
    known = listen(client_certificate="required", client_names=["HILUM-trial-client"])
    assert peers.echoscu(known.listener.tls.port, called="HILUM", options=shows(trial))
    other = listen(client_certificate="required", client_names=["modality.test"])
    assert not peers.echoscu(other.listener.tls.port, called="HILUM", options=shows(trial))
    await_log(caplog, "its certificate carries no allowed name")


def test_a_peer_that_trusts_another_ca_ends_the_handshake_itself(
    listen: Listening, foreign: Trial, caplog: pytest.LogCaptureFixture
) -> None:
    port = listen().listener.tls.port
    assert not peers.echoscu(port, called="HILUM", options=trusts(foreign))
    await_log(caplog, "the peer does not know the CA of our certificate")


def test_plain_dicom_on_the_tls_port_is_refused_by_name(
    listen: Listening, caplog: pytest.LogCaptureFixture
) -> None:
    port = listen().listener.tls.port
    assert not peers.echoscu(port, called="HILUM")
    await_log(caplog, "the peer does not speak TLS (plain DICOM?)")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_of_tls_are_spoken_with_forward_secrecy(
    listen: Listening, trial: Trial, version: ssl.TLSVersion
) -> None:
    spoken = _handshake(listen().listener.tls.port, trial, version)
    assert spoken.version() == {"TLSv1_2": "TLSv1.2", "TLSv1_3": "TLSv1.3"}[version.name]
    cipher = spoken.cipher()
    assert cipher is not None
    assert "GCM" in cipher[0] or "CHACHA20" in cipher[0]
    spoken.close()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1:DeprecationWarning")
def test_tls_1_1_is_refused(
    listen: Listening, trial: Trial, caplog: pytest.LogCaptureFixture
) -> None:
    port = listen().listener.tls.port
    with pytest.raises(ssl.SSLError):
        _handshake(port, trial, ssl.TLSVersion.TLSv1_1)
    await_log(caplog, "no version of TLS that is allowed")


def test_a_suite_without_forward_secrecy_is_refused(listen: Listening, trial: Trial) -> None:
    with pytest.raises(ssl.SSLError):
        _handshake(listen().listener.tls.port, trial, ssl.TLSVersion.TLSv1_2, "AES256-GCM-SHA384")


def test_who_says_nothing_on_the_tls_port_holds_up_nobody(
    listen: Listening, trial: Trial, caplog: pytest.LogCaptureFixture
) -> None:
    settings = listen(handshake_timeout_seconds=2)
    port = settings.listener.tls.port
    with ExitStack() as stack:
        silent = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(20)
        ]
        assert peers.echoscu(port, called="HILUM", options=trusts(trial), seconds=5)
        for each in silent:  # they are closed in time
            each.settimeout(10)
            assert each.recv(1) == b""
    assert caplog.text.count("did not finish the handshake in time") == 1


def test_only_tls_leaves_the_plain_port_to_this_machine(
    database: Database, store: FileStore, trial: Trial
) -> None:
    settings = configured(
        store.root,
        listener__host="0.0.0.0",
        listener__tls__enabled=True,
        listener__tls__only=True,
        listener__tls__port=peers.free_port(),
        listener__tls__certificate=trial.server,
    )
    with listening(settings, database, store) as plain:
        assert plain.server_address[0] == "127.0.0.1"
        assert peers.echoscu(plain.server_address[1], called="HILUM")


def test_refusals_are_told_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    refusals = Refusals()
    with caplog.at_level(logging.WARNING):
        for _ in range(500):
            refusals.tell("10.0.0.1", "the peer shows no certificate")
        refusals.tell("10.0.0.2", "the peer shows no certificate")
    assert len(caplog.records) == 2


def _handshake(
    port: int, trial: Trial, version: ssl.TLSVersion, ciphers: str = "DEFAULT:@SECLEVEL=0"
) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(trial.ca)
    context.set_ciphers(ciphers)
    context.minimum_version = context.maximum_version = version
    return context.wrap_socket(
        socket.create_connection(("127.0.0.1", port), timeout=10), server_hostname="127.0.0.1"
    )


# Out -----------------------------------------------------------------------------------------


@contextmanager
def secured_scp(folder: Path, trial: Trial, who: Trial, *options: str) -> Iterator[peers.StoreSCP]:
    """Run `storescp` with the certificate of `who`; what calls it trusts, and shows, `trial`'s."""
    with peers.storescp(
        folder,
        ae_title="PACS",
        options=("+tls", str(who.server), str(who.server), "+cf", str(trial.ca), *options),
        echo_options=("+tls", str(trial.client), str(trial.client), "-ic"),
    ) as server:
        yield server


def call(port: int, tls: ClientTls, *, host: str = "127.0.0.1") -> int:
    """C-ECHO, and return its status."""
    peer = Peer(host, port, "PACS", "HILUM", 10, tls)
    with associated(peer, [(VERIFICATION, IMPLICIT)]) as sender:
        return sender.echo()


def test_a_peer_is_called_by_tls(tmp_path: Path, trial: Trial) -> None:
    with secured_scp(tmp_path, trial, trial) as pacs:
        tls = ClientTls(enabled=True, ca=trial.ca, certificate=trial.client)
        assert call(pacs.port, tls) == 0


def test_what_is_wrong_with_a_secured_peer_is_named(
    tmp_path: Path, trial: Trial, foreign: Trial
) -> None:
    good = {"enabled": True, "ca": trial.ca, "certificate": trial.client}
    with secured_scp(tmp_path / "a", trial, trial) as pacs:
        for wrong, said in (
            ({"ca": foreign.ca}, "the peer's certificate is not accepted"),
            ({"server_name": "pacs.test"}, "Hostname mismatch"),
            ({"certificate": None}, "a certificate"),
            ({"certificate": foreign.client}, "certificate|CA"),
            ({"ca": tmp_path / "missing.pem"}, "missing.pem: No such file"),
        ):
            with pytest.raises(PeerError, match=said):
                call(pacs.port, ClientTls(**{**good, **wrong}))
        other_name = ClientTls(**good, server_name="pacs.test", check_hostname=False)
        assert call(pacs.port, other_name) == 0
    with (
        peers.storescp(tmp_path / "b", ae_title="PACS") as plain,
        pytest.raises(PeerError, match="TLS failed"),
    ):
        call(plain.port, ClientTls(**good))
    with (
        secured_scp(tmp_path / "c", trial, foreign) as other,
        pytest.raises(PeerError, match="certificate is not accepted"),
    ):
        call(other.port, ClientTls(**good))
    with pytest.raises(PeerError, match="it cannot be reached"):
        call(peers.free_port(), ClientTls(**good))
