"""Orthanc as the PACS, asked over its REST interface."""

from __future__ import annotations

import base64
import contextlib
import json
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from tests.peers.process import LOOPBACK, ChildProcess, free_port, require, running, wait_until


@dataclass(frozen=True, slots=True)
class Orthanc:
    """A running Orthanc, asked over its REST interface."""

    port: int
    http_port: int
    ae_title: str
    process: ChildProcess
    login: Mapping[str, str] | None = None

    @property
    def dicomweb(self) -> str:
        """The root of its DICOMweb services, where it has them."""
        return f"http://{LOOPBACK}:{self.http_port}/dicom-web"

    def instances(self) -> list[str]:
        """Return Orthanc's ids of all instances."""
        return cast(list[str], self.get("/instances"))

    def studies(self) -> list[str]:
        """Return Orthanc's ids of all studies."""
        return cast(list[str], self.get("/studies"))

    def file(self, instance: str) -> bytes:
        """Return the DICOM file of an instance, as Orthanc keeps it."""
        return self._request("GET", f"/instances/{instance}/file")

    def tags(self, instance: str) -> dict[str, Any]:
        """Return an instance's attributes as Orthanc shows them: keyword to text or list."""
        return cast(dict[str, Any], self.get(f"/instances/{instance}/simplified-tags"))

    def find(self, level: str, query: Mapping[str, str]) -> list[str]:
        """Return Orthanc's ids of what matches, as a C-FIND would; `level` is "Study" and so on."""
        found = self.post("/tools/find", {"Level": level, "Query": dict(query)})
        return cast(list[str], found)

    def send(self, resources: Sequence[str], *, ae_title: str, port: int) -> None:
        """Let Orthanc send instances, series or studies to a peer on loopback by C-STORE."""
        self._request("PUT", "/modalities/peer", {"AET": ae_title, "Host": LOOPBACK, "Port": port})
        self.post("/modalities/peer/store", {"Resources": list(resources), "Synchronous": True})

    def get(self, path: str) -> Any:
        """Return the JSON answer to a GET."""
        return json.loads(self._request("GET", path))

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Return the JSON answer to a POST of JSON."""
        return json.loads(self._request("POST", path, body))

    def wait_for_instances(self, count: int, *, seconds: float = 60) -> list[str]:
        """Wait until at least `count` instances are stored."""
        return wait_until(
            lambda: found if len(found := self.instances()) >= count else None,
            f"{count} instances in Orthanc",
            seconds=seconds,
            process=self.process,
        )

    def _request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> bytes:
        url = f"http://{LOOPBACK}:{self.http_port}{urllib.parse.quote(path)}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data=data, method=method)
        if self.login is not None:
            pair = f"{self.login['username']}:{self.login['password']}".encode()
            request.add_header("Authorization", f"Basic {base64.b64encode(pair).decode()}")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return cast(bytes, answer.read())


_DICOMWEB_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


def with_dicomweb() -> dict[str, Any]:
    """Return the configuration of an Orthanc that serves DICOMweb at /dicom-web.

    The test is skipped where the plugin is not installed.
    """
    require("Orthanc")
    if not _DICOMWEB_PLUGIN.exists():
        pytest.skip("needs Orthanc's DICOMweb plugin (Debian: orthanc-dicomweb)")
    return {"Plugins": [str(_DICOMWEB_PLUGIN)], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"}}


@contextlib.contextmanager
def orthanc(
    folder: Path,
    *,
    ae_title: str = "ORTHANC",
    port: int | None = None,
    transfer_syntaxes: Sequence[str] | None = None,
    config: Mapping[str, Any] | None = None,
    login: Mapping[str, str] | None = None,
    options: Sequence[str] = ("--verbose",),
) -> Iterator[Orthanc]:
    """Run Orthanc without plugins; `folder` (made if needed) takes its storage and its log.

    An instance that is sent again does not replace the first. `transfer_syntaxes` are the UIDs that
    it accepts (as default all that it knows); `config` adds to or replaces keys of its
    configuration; with `login` (username, password) it lets nobody else in by HTTP. `options` go to
    the command line as they are.
    """
    require("Orthanc")
    folder.mkdir(parents=True, exist_ok=True)
    port, http_port = port or free_port(), free_port()
    values: dict[str, Any] = {
        "Name": ae_title,
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [],
        "HttpPort": http_port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": login is not None,
        "RegisteredUsers": {login["username"]: login["password"]} if login else {},
        "DicomAet": ae_title,
        "DicomPort": port,
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowEcho": True,
        "DicomAssociationCloseDelay": 0,
        "OverwriteInstances": False,
        "StableAge": 1,
        "WebDavEnabled": False,
        "HttpThreadsCount": 4,
        **({} if transfer_syntaxes is None else {"AcceptedTransferSyntaxes": transfer_syntaxes}),
        **(config or {}),
    }
    file = folder / "orthanc.json"
    file.write_text(json.dumps(values, indent=1, default=list), encoding="utf-8")
    process = ChildProcess(["Orthanc", *options, file], log=folder / "orthanc.log")
    with running(process):
        server = Orthanc(port, http_port, ae_title, process, login)
        wait_until(lambda: _answers(server), "Orthanc's REST interface", process=process)
        yield server


def _answers(server: Orthanc) -> bool:
    with contextlib.suppress(OSError):
        return bool(server.get("/system"))
    return False
