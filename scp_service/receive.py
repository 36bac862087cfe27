"""C-STORE: a film is durable on disk and in the database before it is acknowledged."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from io import BytesIO

from pydicom import Dataset
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event
from sqlalchemy.exc import SQLAlchemyError

from db.files import FileStore, Intake
from db.intake import Film, Outcome
from scp_service.committer import Committer, UncertainError
from scp_service.header import (
    TooLargeError,
    UnreadableError,
    file_head,
    is_uid,
    read_header,
    text,
)
from settings import Listener

_log = logging.getLogger(__name__)


class Status(IntEnum):
    """The C-STORE statuses that we answer (PS3.4 B.2.3, PS3.7 annex C)."""

    SUCCESS = 0x0000
    INVALID_UID = 0x0117
    CLASS_NOT_SUPPORTED = 0x0122
    OUT_OF_RESOURCES = 0xA700
    MISMATCH = 0xA900
    CANNOT_UNDERSTAND = 0xC000


@dataclass(frozen=True, slots=True)
class Receiver:
    """What a C-STORE needs: where files go, who commits, and the limits."""

    store: FileStore
    intake: Intake
    committer: Committer
    limits: Listener


def handle_store(event: Event, receiver: Receiver) -> Dataset:
    """Answer one C-STORE request; 0x0000 means that file and row would survive a power cut."""
    request = event.request
    assert isinstance(request, C_STORE)
    encoded = request.DataSet.getvalue() if isinstance(request.DataSet, BytesIO) else b""
    command_uid = str(request.AffectedSOPInstanceUID or "")
    command_class = str(request.AffectedSOPClassUID or "")
    syntax = str(event.context.transfer_syntax)
    if not is_uid(command_uid):
        return _answer(Status.INVALID_UID, "the SOP Instance UID is not a UID")
    if command_class != event.context.abstract_syntax:
        return _answer(
            Status.CLASS_NOT_SUPPORTED, "the SOP class is not that of the presentation context"
        )
    if len(encoded) > receiver.limits.max_dataset_bytes:
        return _answer(Status.OUT_OF_RESOURCES, "the data set is larger than is allowed here")
    try:
        header = read_header(encoded, syntax, max_bytes=receiver.limits.max_dataset_bytes)
    except UnreadableError as error:
        return _answer(Status.CANNOT_UNDERSTAND, str(error))
    except TooLargeError as error:
        return _answer(Status.OUT_OF_RESOURCES, str(error))
    if (text(header, "SOPInstanceUID"), text(header, "SOPClassUID")) != (
        command_uid,
        command_class,
    ):
        return _answer(Status.MISMATCH, "the command's SOP UIDs differ from the data set's")

    received_at = datetime.now(UTC)
    head = file_head(command_class, command_uid, syntax, event.assoc.requestor.ae_title)
    try:
        path = receiver.intake.put([head, encoded], received_at)
    except OSError as error:
        _log.error("A film was refused: it could not be written (%s).", error.strerror)
        return _answer(Status.OUT_OF_RESOURCES, "the film cannot be stored at the moment")
    film = _film(event, header, head, encoded, path)
    try:
        outcome = receiver.committer.commit(film)
    except SQLAlchemyError as error:
        receiver.intake.settle(path, keep=False)
        _log.error("A film was refused: it could not be recorded (%s).", type(error).__name__)
        return _answer(Status.OUT_OF_RESOURCES, "the film cannot be recorded at the moment")
    except UncertainError:
        # Not settled: the next start of a listener finds the file and whether it has a row.
        _log.error("A film was refused: the database did not say whether it is recorded.")
        return _answer(Status.OUT_OF_RESOURCES, "the film cannot be recorded at the moment")
    receiver.intake.settle(path, keep=outcome is not Outcome.DUPLICATE)
    if outcome is Outcome.ALTERED:
        _log.warning("A film came again with other content; both copies are kept.")
    return _answer(Status.SUCCESS)


def _film(event: Event, header: Dataset, head: bytes, encoded: bytes, path: str) -> Film:
    whole = hashlib.sha256(head)
    whole.update(encoded)
    requestor = event.assoc.requestor
    called_ae = requestor.primitive.called_ae_title if requestor.primitive else ""
    return Film(
        study_instance_uid=text(header, "StudyInstanceUID"),
        series_instance_uid=text(header, "SeriesInstanceUID"),
        sop_instance_uid=text(header, "SOPInstanceUID"),
        sop_class_uid=text(header, "SOPClassUID"),
        transfer_syntax_uid=str(event.context.transfer_syntax),
        patient_id=text(header, "PatientID", 64),
        patient_name=text(header, "PatientName", 400),
        patient_birth_date=text(header, "PatientBirthDate", 16),
        patient_sex=text(header, "PatientSex", 16),
        accession_number=text(header, "AccessionNumber", 64),
        study_date=text(header, "StudyDate", 16),
        study_description=text(header, "StudyDescription", 64),
        modality=text(header, "Modality", 16),
        station=text(header, "StationName", 64),
        path=path,
        size=len(head) + len(encoded),
        sha256=hashlib.sha256(encoded).hexdigest(),
        file_sha256=whole.hexdigest(),
        source_ae=requestor.ae_title.strip(),
        called_ae=called_ae.strip(),
        source_address=requestor.address,
    )


def _answer(status: Status, comment: str | None = None) -> Dataset:
    """Make a response; its Error Comment (0000,0902) has room for 64 characters."""
    response = Dataset()
    response.Status = int(status)
    if comment:
        response.ErrorComment = comment[:64]
        _log.warning("A film was refused with status %04X: %s.", status, comment)
    return response
