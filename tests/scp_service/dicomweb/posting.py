"""A STOW-RS server in this process, and requests that may be anything."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from pydicom import Dataset, dcmwrite

from db.files import FileStore
from db.session import Database
from scp_service.dicomweb.server import serving
from settings import Settings
from tests import peers
from tests.scp_service.running import configured

BOUNDARY = "a-boundary"
RELATED = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
FILE_HEADERS = {"Content-Type": "application/dicom"}


@dataclass(frozen=True)
class Answered:
    """What was answered; `told` is the response module where there is one."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def told(self) -> dict[str, list[tuple[str, int | None]]]:
        """Sequence to (SOP Instance UID or "", failure reason or None) of each item."""
        module = Dataset.from_json(json.loads(self.body))
        return {
            element.keyword: [
                (item.get("ReferencedSOPInstanceUID", ""), item.get("FailureReason"))
                for item in element.value
            ]
            for element in module
            if element.VR == "SQ"
        }


@contextmanager
def stow(database: Database, store: FileStore, **values: Any) -> Iterator[Settings]:
    """Serve until the end of the block; `token="x"` sets `dicomweb.token`, as do `tls__…`."""
    given = {f"dicomweb__{name}": value for name, value in values.items() if "listener" not in name}
    others = {name: value for name, value in values.items() if "listener" in name}
    settings = configured(store.root, dicomweb__port=peers.free_port(), **given, **others)
    with serving(settings, database, store):
        yield settings


def file(dataset: Dataset) -> bytes:
    """Encode a data set as a DICOM file."""
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def multipart(
    *contents: bytes, headers: Mapping[str, str] | None = None, ending: str = "--\r\n"
) -> bytes:
    """Make a multipart body; `headers` are those of every part."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or FILE_HEADERS).items())
    parts = [f"--{BOUNDARY}\r\n{lines}\r\n".encode() + content + b"\r\n" for content in contents]
    return b"".join(parts) + f"--{BOUNDARY}{ending}".encode()


def post(
    settings: Settings,
    body: bytes | Sequence[bytes],
    *,
    path: str = "/dicomweb/studies",
    method: str = "POST",
    **headers: str,
) -> Answered:
    """Send a request; a body of several pieces goes in chunks, without its length."""
    web = settings.dicomweb
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with closing(http.client.HTTPConnection(web.host, web.port, timeout=30)) as connection:
        connection.request(
            method,
            path,
            body=body if isinstance(body, bytes) else iter(body),
            headers={"Content-Type": RELATED, **named},
            encode_chunked=not isinstance(body, bytes),
        )
        answer = connection.getresponse()
        return Answered(answer.status, answer.headers, answer.read())
