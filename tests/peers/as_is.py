"""A sender that takes a file's bytes as they are: for files that DCMTK's senders refuse to read."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from pydicom import Dataset
from pydicom.filereader import read_dataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    generate_uid,
)

from scp_service.header import file_head
from scp_service.store_scu import Peer, Response, associated
from tests.peers.process import LOOPBACK

_CALLING = "AS_IS"


@dataclass(frozen=True, slots=True)
class Encoded:
    """A data set's bytes, and what a sender has to say of them.

    Where the file does not tell, the class is CR's, the instance a fresh UID, and the transfer
    syntax what the first element looks like.
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    data: bytes


def encoded(path: Path) -> Encoded:
    """Take a file apart; any file: whatever stands in it is a data set's bytes."""
    content = path.read_bytes()
    file = BytesIO(content)
    file.seek(132 if content[128:132] == b"DICM" else 0)
    start = file.tell()
    meta = Dataset()
    with contextlib.suppress(Exception):  # whatever a hostile file makes pydicom raise
        meta = read_dataset(
            file, False, True, stop_when=lambda tag, _vr, _length: int(tag) >> 16 != 2
        )
        start = file.tell()
    data = content[start:]
    syntax = _text(meta, "TransferSyntaxUID") or _looks_like(data)
    main = Dataset()
    with contextlib.suppress(Exception):
        main = read_dataset(
            BytesIO(data),
            syntax == ImplicitVRLittleEndian,
            syntax != ExplicitVRBigEndian,
            stop_when=lambda tag, _vr, _length: int(tag) > 0x00080018,
        )
    sop_class = _text(meta, "MediaStorageSOPClassUID") or _text(main, "SOPClassUID")
    instance = _text(meta, "MediaStorageSOPInstanceUID") or _text(main, "SOPInstanceUID")
    return Encoded(
        sop_class or str(ComputedRadiographyImageStorage),
        instance or str(generate_uid()),
        syntax,
        data,
    )


def store_as_is(film: Encoded, port: int, *, called: str = "HILUM") -> Response:
    """Send it over an association of its own.

    Raises:
        PeerError: it was not accepted at all.
    """
    peer = Peer(LOOPBACK, port, called, _CALLING, 30)
    context = (film.sop_class_uid, film.transfer_syntax_uid)
    head = file_head(film.sop_class_uid, film.sop_instance_uid, film.transfer_syntax_uid, _CALLING)
    with tempfile.NamedTemporaryFile(suffix=".dcm") as file, associated(peer, [context]) as to:
        file.write(head + film.data)
        file.flush()
        return to.store(Path(file.name))


def _text(dataset: Dataset, keyword: str) -> str:
    with contextlib.suppress(Exception):  # an element that cannot be read
        return str(dataset.get(keyword, ""))
    return ""


def _looks_like(data: bytes) -> str:
    explicit = data[4:6].isalpha() and data[4:6].isupper()
    if not explicit:
        return str(ImplicitVRLittleEndian)
    return str(ExplicitVRLittleEndian if data[:1] > data[1:2] else ExplicitVRBigEndian)
