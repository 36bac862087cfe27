"""Those that `bench.attacks` attacks: Hilum and three other receivers, each as it comes.

For the attack on the TLS port each listens with a certificate, on that port alone or beside the
other; pynetdicom's storescp knows no TLS, so a script of a few lines stands in for it.
"""

from __future__ import annotations

import ssl
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from scp_service.certificates import Trial
from tests.peers import (
    ChildProcess,
    free_port,
    hilum_process,
    orthanc,
    require,
    running,
    wire,
)
from tests.peers.process import LOOPBACK
from tests.peers.wire import Wire

CALLED = "HILUM"
PATIENCE_SECONDS = 5.0
_PYNETDICOM_TLS = """
import ssl, sys
from pynetdicom import AE, AllStoragePresentationContexts, evt
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(sys.argv[2])
ae = AE(sys.argv[3])
ae.supported_contexts = AllStoragePresentationContexts
ae.add_supported_context("1.2.840.10008.1.1")
ae.start_server(("", int(sys.argv[1])), ssl_context=context)
"""


@dataclass(frozen=True, slots=True)
class Target:
    """One that is attacked: its process, the port, its folder, and how to call where it has TLS."""

    process: ChildProcess
    port: int
    folder: Path
    tls: ssl.SSLContext | None = None

    def call(self, *, seconds: float, source: str = LOOPBACK) -> Wire:
        """Connect to it.

        Raises:
            OSError: it does not answer in time.
        """
        return Wire(self.port, seconds=seconds, source=source, tls=self.tls)

    def echo(self, source: str = LOOPBACK) -> float | None:
        """Return how long a C-ECHO takes with its association; None where there is no answer."""
        begin = time.monotonic()
        try:
            with self.call(seconds=PATIENCE_SECONDS, source=source) as sender:
                if sender.ask(wire.associate_rq(CALLED))[0] != wire.ASSOCIATE_AC:
                    return None
                sender.send(wire.echo_rq())
                sender.status()
                sender.send(wire.release_rq())
                sender.read()
        except (OSError, ValueError):
            return None
        return time.monotonic() - begin


Attacked = Callable[[Path, Trial | None], AbstractContextManager[Target]]


@contextmanager
def _hilum(folder: Path, trial: Trial | None) -> Iterator[Target]:
    port, tls_port = free_port(), free_port()
    env = {
        "HILUM_DATA_DIR": str(folder / "data"),
        "HILUM_LISTENER__HOST": LOOPBACK,
        "HILUM_LISTENER__PORT": str(port),
    }
    if trial is not None:
        env["HILUM_LISTENER__TLS__ENABLED"] = "true"
        env["HILUM_LISTENER__TLS__PORT"] = str(tls_port)
        env["HILUM_LISTENER__TLS__CERTIFICATE"] = str(trial.server)
    with hilum_process(["listen"], env, folder=folder) as process:
        yield Target(process, tls_port if trial else port, folder, _trusting(trial))


@contextmanager
def _pynetdicom(folder: Path, trial: Trial | None) -> Iterator[Target]:
    port = free_port()
    received = folder / "received"
    received.mkdir()
    command = [sys.executable, "-m", "pynetdicom", "storescp", "-q", "-aet", CALLED]
    command += ["-od", str(received), str(port)]
    if trial is not None:
        command = [sys.executable, "-c", _PYNETDICOM_TLS, str(port), str(trial.server), CALLED]
    with running(_child(command, folder)) as process:
        yield Target(process, port, folder, _trusting(trial))


@contextmanager
def _orthanc(folder: Path, trial: Trial | None) -> Iterator[Target]:
    config = {}
    if trial is not None:
        config = {
            "DicomTlsEnabled": True,
            "DicomTlsCertificate": str(trial.server),
            "DicomTlsPrivateKey": str(trial.server),
            "DicomTlsTrustedCertificates": str(trial.ca),
            "DicomTlsRemoteCertificateRequired": False,
        }
    with orthanc(folder, ae_title=CALLED, config=config) as server:
        yield Target(server.process, server.port, folder, _trusting(trial))


@contextmanager
def _dcmtk(folder: Path, trial: Trial | None) -> Iterator[Target]:
    (program,) = require("storescp")
    port = free_port()
    received = folder / "received"
    received.mkdir()
    command = [program, "--fork", "+xa", "-aet", CALLED, "-od", str(received)]
    if trial is not None:
        command += ["+tls", str(trial.server), str(trial.server), "--ignore-peer-cert"]
    with running(_child([*command, str(port)], folder)) as process:
        yield Target(process, port, folder, _trusting(trial))


def _child(command: list[str], folder: Path) -> ChildProcess:
    return ChildProcess(command, log=folder / "log", cwd=folder, clean_exits=(0, -15))


def _trusting(trial: Trial | None) -> ssl.SSLContext | None:
    return None if trial is None else ssl.create_default_context(cafile=trial.ca)


ATTACKED: dict[str, Attacked] = {
    "Hilum": _hilum,
    "pynetdicom storescp": _pynetdicom,
    "Orthanc": _orthanc,
    "DCMTK storescp --fork": _dcmtk,
}
