"""A DICOM file (PS3.10) that has come by HTTP is kept the same way as what comes by C-STORE."""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from io import BytesIO

from pydicom import Dataset
from pydicom.filereader import read_dataset

from scp_service import status
from scp_service.dicomweb.multipart import DICOM, Part
from scp_service.dicomweb.spool import Spool
from scp_service.encoded import TooLargeError, UnreadableError
from scp_service.header import is_uid, read_header, text
from scp_service.listener import SOP_CLASSES
from scp_service.receive import Arrived, Origin, Receiver, Status, keep_film

_log = logging.getLogger(__name__)

FILE_HEAD_BYTES = 131_072
"""More than a file holds beside its data set: preamble and meta information."""
_CLASSES = frozenset(str(each) for each in SOP_CLASSES)
_NO_SUCH_CLASS = "its SOP class is not supported"
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
    MISMATCH = 0xA900, "the study is another one than the URL's"
    CANNOT_UNDERSTAND = (
        0xC000,
        "it is no DICOM file, has no SOP Instance UID, or its data set would not be understood by"
        " C-STORE either",
    )
    SYNTAX_NOT_SUPPORTED = 0xC122, "the transfer syntax is not in `listener.transfer_syntaxes`"


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of a file: stored where there is no failure; UIDs are "" where it has none.

    The comment says why it was not stored, without patient data; `header`, where it could be read,
    is for the audit trail alone.
    """

    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    failure: FailureReason | None = None
    comment: str = ""
    header: Dataset | None = None

    @property
    def is_named(self) -> bool:
        """Whether it says which SOP instance it is."""
        return is_uid(self.sop_class_uid) and is_uid(self.sop_instance_uid)

    def refused(self, failure: FailureReason, comment: str) -> Kept:
        """Return this as what was not stored."""
        return replace(self, failure=failure, comment=comment)


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
        receiver.count(origin, kept.failure.name.lower())
        receiver.tell_refused(
            origin, kept.comment, sop_class_uid=kept.sop_class_uid, header=kept.header
        )
        _log.warning("A film was refused with %04X: %s.", kept.failure, kept.comment)
    return kept


def _keep(spool: Spool, origin: Origin, receiver: Receiver, study: str | None) -> Kept:
    if spool.failure is not None:
        return Kept(failure=FailureReason.OUT_OF_RESOURCES, comment=spool.failure)
    with spool.content() as content:
        try:
            meta, begins = meta_information(content)
        except UnreadableError as error:
            return Kept(failure=FailureReason.CANNOT_UNDERSTAND, comment=str(error))
        said = Kept(text(meta, "MediaStorageSOPClassUID"), text(meta, "MediaStorageSOPInstanceUID"))
        syntax = text(meta, "TransferSyntaxUID")
        if said.sop_class_uid not in _CLASSES:
            return said.refused(FailureReason.CLASS_NOT_SUPPORTED, _NO_SUCH_CLASS)
        if syntax not in receiver.limits.transfer_syntaxes:
            failure = FailureReason.SYNTAX_NOT_SUPPORTED
            return said.refused(failure, "its transfer syntax is not supported")
        with content[begins:] as encoded:
            return _keep_data_set(encoded, syntax, said, origin, receiver, study)


def _keep_data_set(
    encoded: memoryview,
    syntax: str,
    said: Kept,
    origin: Origin,
    receiver: Receiver,
    study: str | None,
) -> Kept:
    """Keep a data set under the UIDs that it names itself.

    Files of real devices are met whose meta information names another instance (`said`); tools that
    send by C-STORE go by the data set too.
    """
    limit = receiver.limits.max_dataset_bytes
    try:
        if len(encoded) > limit:
            raise TooLargeError("the data set is larger than is allowed here")
        header = read_header(encoded, syntax, max_bytes=limit)
    except UnreadableError as error:
        return said.refused(FailureReason.CANNOT_UNDERSTAND, str(error))
    except TooLargeError as error:
        return said.refused(FailureReason.OUT_OF_RESOURCES, str(error))
    film = Kept(text(header, "SOPClassUID"), text(header, "SOPInstanceUID"), header=header)
    if not is_uid(film.sop_instance_uid):
        return replace(said, header=header).refused(
            FailureReason.CANNOT_UNDERSTAND, "the data set has no valid SOPInstanceUID"
        )
    if film.sop_class_uid not in _CLASSES:
        return film.refused(FailureReason.CLASS_NOT_SUPPORTED, _NO_SUCH_CLASS)
    if study not in (None, text(header, "StudyInstanceUID")):
        return film.refused(
            FailureReason.MISMATCH, "the data set belongs to another study than was said"
        )
    arrived = Arrived(encoded, film.sop_class_uid, film.sop_instance_uid, syntax, origin)
    verdict = keep_film(arrived, header, receiver)
    if verdict.status is Status.SUCCESS:
        return replace(film, header=None)
    return film.refused(FailureReason.OUT_OF_RESOURCES, verdict.comment)


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
