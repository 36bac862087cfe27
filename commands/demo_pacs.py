"""A small PACS on loopback for the demo: Orthanc where it is installed, else one of ours."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydicom.uid import (
    Comprehensive3DSRStorage,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    SecondaryCaptureImageStorage,
)
from pynetdicom import AE, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event

AE_TITLE = "DEMOPACS"


@dataclass(frozen=True, slots=True)
class Pacs:
    """A running PACS: its port, how to call it in a sentence, and where a person can look."""

    port: int
    kind: str
    look: str


def free_port() -> int:
    """Return a TCP port of loopback that is free at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        assert isinstance(port, int)
        return port


def is_free(port: int) -> bool:
    """Tell whether a TCP port of loopback can be listened on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@contextmanager
def running(folder: Path) -> Iterator[Pacs]:
    """Run a PACS that keeps what it gets below `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    program = shutil.which("Orthanc")
    with _orthanc(program, folder) if program else _ours(folder) as pacs:
        yield pacs


@contextmanager
def _orthanc(program: str, folder: Path) -> Iterator[Pacs]:
    port, web = free_port(), free_port()
    configuration = {
        "Name": "Hilum demo",
        "StorageDirectory": str(folder / "orthanc"),
        "IndexDirectory": str(folder / "orthanc"),
        "DicomAet": AE_TITLE,
        "DicomPort": port,
        "DicomCheckCalledAet": False,
        "DicomAlwaysAllowEcho": True,
        "DicomAlwaysAllowStore": True,
        "HttpPort": web,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "Plugins": [],
    }
    file = folder / "orthanc.json"
    file.write_text(json.dumps(configuration, indent=1))
    with (folder / "orthanc.log").open("w") as log:
        process = subprocess.Popen([program, str(file)], stdout=log, stderr=subprocess.STDOUT)
    try:
        yield Pacs(port, "Orthanc", f"http://127.0.0.1:{web}/app/explorer.html")
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def _ours(folder: Path) -> Iterator[Pacs]:
    kept = folder / "objects"
    kept.mkdir(exist_ok=True)
    ae = AE(AE_TITLE)
    ae.add_supported_context("1.2.840.10008.1.1")
    ae.add_supported_context(Comprehensive3DSRStorage, ExplicitVRLittleEndian)
    ae.add_supported_context(
        SecondaryCaptureImageStorage, [JPEGBaseline8Bit, ExplicitVRLittleEndian]
    )
    port = free_port()
    server = ae.start_server(
        ("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, _keep, [kept])]
    )
    assert server is not None
    try:
        yield Pacs(port, "a small PACS of our own", str(kept))
    finally:
        server.shutdown()


def _keep(event: Event, folder: Path) -> int:
    """Keep an object under its SOP Instance UID, which only Hilum makes here."""
    assert isinstance(event.request, C_STORE)
    uid = str(event.request.AffectedSOPInstanceUID)
    if not uid.replace(".", "").isdecimal():
        return 0x0117
    (folder / f"{uid}.dcm").write_bytes(event.encoded_dataset())
    return 0x0000
