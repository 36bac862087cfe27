"""A DICOM file (PS3.10) that has come by HTTP is kept the same way as what comes by C-STORE."""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from io import BytesIO

from pydicom import Dataset
from pydicom.filereader import read_dataset

from scp_service import status
from scp_service.dicomweb.multipart import DICOM, Part
from scp_service.dicomweb.spool import Spool
from scp_service.header import UnreadableError, is_uid, text
from scp_service.listener import SOP_CLASSES
from scp_service.receive import Arrived, Origin, Receiver, Status, receive

_log = logging.getLogger(__name__)

FILE_HEAD_BYTES = 131_072
"""More than a file holds beside its data set: preamble and meta information."""
_CLASSES = frozenset(str(each) for each in SOP_CLASSES)
_LONGEST_META = 65_536
"""In bytes; real ones have some hundreds."""
_GROUP_LENGTH = struct.Struct("<HH2sHL")
_META_BEGINS = 132 + _GROUP_LENGTH.size


class FailureReason(status.Status):
    """Why an instance was not stored (PS3.18 I.2.2)."""

    CLASS_NOT_SUPPORTED = 0x0122, "the SOP class is none that the listener takes"
    OUT_OF_RESOURCES = (
        0xA700,
        "there is no room, the database cannot record it, or it is larger than"
        " `listener.max_dataset_bytes`",
    )
    MISMATCH = (
        0xA900,
        "the file meta information's SOP class or instance UID differs from the data set's, or the"
        " study is another one than the URL's",
    )
    CANNOT_UNDERSTAND = 0xC000, "it is no DICOM file, or its data set cannot be taken by C-STORE"
    SYNTAX_NOT_SUPPORTED = 0xC122, "the transfer syntax is not in `listener.transfer_syntaxes`"


_REASONS = {
    Status.CLASS_NOT_SUPPORTED: FailureReason.CLASS_NOT_SUPPORTED,
    Status.OUT_OF_RESOURCES: FailureReason.OUT_OF_RESOURCES,
    Status.MISMATCH: FailureReason.MISMATCH,
    Status.CANNOT_UNDERSTAND: FailureReason.CANNOT_UNDERSTAND,
    Status.INVALID_UID: FailureReason.CANNOT_UNDERSTAND,
}


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of a file: stored where there is no failure; UIDs are "" where it has none.

    The comment says why it was not stored, without patient data.
    """

    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    failure: FailureReason | None = None
    comment: str = ""

    @property
    def is_named(self) -> bool:
        """Whether it says which SOP instance it is."""
        return is_uid(self.sop_class_uid) and is_uid(self.sop_instance_uid)


def keep_parts(
    parts: Iterable[Part], origin: Origin, receiver: Receiver, study_instance_uid: str | None = None
) -> list[Kept]:
    """Keep the files that came as parts of a message, and close their spools; see `keep`."""
    kept = []
    for part in parts:
        with closing(part.spool):
            if part.media_type in ("", DICOM):
                kept.append(keep(part.spool, origin, receiver, study_instance_uid))
            else:
                comment = f"a part is no {DICOM}"
                kept.append(Kept(failure=FailureReason.CANNOT_UNDERSTAND, comment=comment))
    return kept


def keep(
    spool: Spool, origin: Origin, receiver: Receiver, study_instance_uid: str | None = None
) -> Kept:
    """Keep a whole file; where it is stored, it would survive a power cut.

    Args:
        spool: the file.
        origin: who it came from.
        receiver: where it goes.
        study_instance_uid: the study that it must belong to, if it was named.
    """
    kept = _keep(spool, origin, receiver, study_instance_uid)
    if kept.failure is not None:
        _log.warning("A film was refused with %04X: %s.", kept.failure, kept.comment)
    return kept


def _keep(spool: Spool, origin: Origin, receiver: Receiver, study: str | None) -> Kept:
    if spool.failure is not None:
        return Kept(failure=_REASONS[spool.failure.status], comment=spool.failure.comment)
    with spool.content() as content:
        try:
            meta, begins = meta_information(content)
        except UnreadableError as error:
            return Kept(failure=FailureReason.CANNOT_UNDERSTAND, comment=str(error))
        sop_class, sop_instance, syntax = (
            text(meta, keyword)
            for keyword in (
                "MediaStorageSOPClassUID",
                "MediaStorageSOPInstanceUID",
                "TransferSyntaxUID",
            )
        )
        if sop_class not in _CLASSES:
            failure = FailureReason.CLASS_NOT_SUPPORTED
            return Kept(sop_class, sop_instance, failure, "its SOP class is not supported")
        if syntax not in receiver.limits.transfer_syntaxes:
            failure = FailureReason.SYNTAX_NOT_SUPPORTED
            return Kept(sop_class, sop_instance, failure, "its transfer syntax is not supported")
        with content[begins:] as encoded:
            arrived = Arrived(encoded, sop_class, sop_instance, syntax, origin, study)
            verdict = receive(arrived, receiver)
    if verdict.status is Status.SUCCESS:
        return Kept(sop_class, sop_instance)
    return Kept(sop_class, sop_instance, _REASONS[verdict.status], verdict.comment)


def meta_information(content: memoryview) -> tuple[Dataset, int]:
    """Read the File Meta Information (PS3.10 7.1), and tell where the data set begins.

    Raises:
        UnreadableError: it is no DICOM file.
    """
    if bytes(content[128:132]) != b"DICM" or len(content) < _META_BEGINS:
        raise UnreadableError("it is no DICOM file (no preamble and DICM)")
    *tag, vr, size, length = _GROUP_LENGTH.unpack(content[132:_META_BEGINS])
    ends = _META_BEGINS + length
    if (tag, vr, size) != ([2, 0], b"UL", 4) or length > _LONGEST_META or ends > len(content):
        raise UnreadableError("its file meta information does not begin with its length")
    try:
        meta = read_dataset(BytesIO(content[_META_BEGINS:ends]), False, True)
        for element in meta:
            str(element.value)
    except Exception as error:
        # As in `scp_service.header`: pydicom raises almost anything, and its text may hold a value.
        raise UnreadableError(
            f"its file meta information cannot be parsed ({type(error).__name__})"
        ) from None
    return meta, ends
