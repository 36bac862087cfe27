"""A film that comes, by C-STORE or otherwise, is durable before it is acknowledged."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO

from pydicom import Dataset
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event
from sqlalchemy.exc import SQLAlchemyError

import metrics
from audit import Trail
from db.files import FileStore, Intake, recover
from db.intake import Film, Outcome, recorded
from db.session import Database
from scp_service import status
from scp_service.audited import Refused, RefusedFilms, film_came, subject_of
from scp_service.committer import Committer, UncertainError
from scp_service.encoded import MOST_READS, TooLargeError, UnreadableError
from scp_service.header import LONGEST_VALUE, file_head, is_uid, read_header, text
from scp_service.straight import Request
from settings import Listener, Settings

_log = logging.getLogger(__name__)

_MOST_COMMENT = 64
"""Characters of an Error Comment (0000,0902)."""
_NOT_RECORDED = "the film cannot be recorded at the moment"


class Status(status.Status):
    """The C-STORE statuses that we answer (PS3.4 B.2.3, PS3.7 annex C)."""

    SUCCESS = (
        0x0000,
        "the instance is durable: file and folder are synced, its row and its task committed; also"
        " where the same instance has come before",
    )
    INVALID_UID = 0x0117, "the Affected SOP Instance UID is not a UID"
    CLASS_NOT_SUPPORTED = 0x0122, "the SOP class is not that of the presentation context"
    OUT_OF_RESOURCES = (
        0xA700,
        "there is no room, the database cannot record it, or it is larger than"
        " `listener.max_dataset_bytes`",
    )
    MISMATCH = 0xA900, "the command's SOP class or instance UID differs from the data set's"
    CANNOT_UNDERSTAND = (
        0xC000,
        "the data set cannot be parsed, has no Study or Series Instance UID, or holds elements of"
        f" group 0000, an identifying value of more than {LONGEST_VALUE:,} bytes, or too many"
        f" elements and sequence items (more than {MOST_READS:,} reads, of one to four each)",
    )


@dataclass(frozen=True, slots=True)
class Receiver:
    """What a C-STORE needs: where files go, who commits, the limits, who may send, the trail.

    `refused` takes what was not taken.
    """

    store: FileStore
    intake: Intake
    committer: Committer
    limits: Listener
    sources: frozenset[str]
    trail: Trail
    refused: RefusedFilms

    def count(self, origin: Origin, outcome: str) -> None:
        """Count a film that has come, by what became of it."""
        known = origin.source_ae in self.sources
        metrics.FILMS.labels(origin.source_ae if known else metrics.OTHER, outcome).inc()

    def tell_refused(
        self, origin: Origin, reason: str, *, sop_class_uid: str, header: Dataset | None
    ) -> None:
        """Have the audit trail tell of a film that was not taken; `header` where it is known."""
        subject = None if header is None else subject_of(header)
        self.refused.add(
            Refused(origin.source_ae, origin.source_address, reason, sop_class_uid, subject)
        )


@dataclass(frozen=True, slots=True)
class Origin:
    """Who a film came from, at which address, and by which AE title of ours it was asked for."""

    source_ae: str
    called_ae: str
    source_address: str


@dataclass(frozen=True, slots=True)
class Arrived:
    """A film that has come: its encoded data set, and what its sender says of it."""

    encoded: bytes | memoryview
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a film; where it is refused, the comment says why without patient data.

    `header`, where it could be read, is for the audit trail alone.
    """

    status: Status
    comment: str = ""
    header: Dataset | None = None


@contextmanager
def receiving(settings: Settings, database: Database, store: FileStore) -> Iterator[Receiver]:
    """Receive films until the context ends; what a killed process had not acknowledged goes first.

    Raises:
        OSError: the data folder cannot be used.
    """
    dropped = recover(store, lambda path: _is_known(database, path))
    if dropped:
        _log.warning("%d unacknowledged films of a process that was killed were removed.", dropped)
    with (
        closing(Trail(settings)) as trail,
        closing(Intake(store)) as intake,
        closing(Committer(database)) as committer,
    ):
        limits, sources = settings.listener, settings.sources
        yield Receiver(store, intake, committer, limits, sources, trail, RefusedFilms(trail))


def _is_known(database: Database, path: str) -> bool:
    with database.read() as session:
        return recorded(session, path) is not None


def handle_store(event: Event, receiver: Receiver, origin: Origin | None = None) -> Dataset:
    """Answer one C-STORE request; 0x0000 means that file and row would survive a power cut.

    `origin` is given where the film was asked for (C-GET): then the requestor is ourselves.
    """
    request = event.request
    assert isinstance(request, C_STORE)
    arrived = Arrived(
        request.DataSet.getvalue() if isinstance(request.DataSet, BytesIO) else b"",
        str(request.AffectedSOPClassUID or ""),
        str(request.AffectedSOPInstanceUID or ""),
        str(event.context.transfer_syntax),
        origin or _sender(event.assoc),
    )
    return _answer(_verdict(arrived, str(event.context.abstract_syntax), receiver))


def store_straight(
    association: Association, request: Request, encoded: memoryview, *, receiver: Receiver
) -> tuple[int, str]:
    """Keep a film as `handle_store` does; return the response's status and Error Comment."""
    arrived = Arrived(
        encoded,
        request.sop_class_uid,
        request.sop_instance_uid,
        request.transfer_syntax,
        _sender(association),
    )
    verdict = _verdict(arrived, request.abstract_syntax, receiver)
    return int(verdict.status), verdict.comment[:_MOST_COMMENT]


def _verdict(arrived: Arrived, abstract_syntax: str, receiver: Receiver) -> Verdict:
    """Keep what came by C-STORE in a presentation context; tell of it where it was not taken."""
    if arrived.sop_class_uid == abstract_syntax:
        verdict = receive(arrived, receiver)
    else:
        comment = "the SOP class is not that of the presentation context"
        verdict = Verdict(Status.CLASS_NOT_SUPPORTED, comment)
    if verdict.status is not Status.SUCCESS:
        receiver.count(arrived.origin, verdict.status.name.lower())
        receiver.tell_refused(
            arrived.origin,
            verdict.comment,
            sop_class_uid=arrived.sop_class_uid,
            header=verdict.header,
        )
        _log.warning("A film was refused with status %04X: %s.", verdict.status, verdict.comment)
    return verdict


def receive(arrived: Arrived, receiver: Receiver) -> Verdict:
    """Keep what came by C-STORE; success means that it would survive a power cut."""
    limit = receiver.limits.max_dataset_bytes
    if not is_uid(arrived.sop_instance_uid):
        return Verdict(Status.INVALID_UID, "the SOP Instance UID is not a UID")
    if len(arrived.encoded) > limit:
        return Verdict(Status.OUT_OF_RESOURCES, "the data set is larger than is allowed here")
    try:
        header = read_header(arrived.encoded, arrived.transfer_syntax_uid, max_bytes=limit)
    except UnreadableError as error:
        return Verdict(Status.CANNOT_UNDERSTAND, str(error))
    except TooLargeError as error:
        return Verdict(Status.OUT_OF_RESOURCES, str(error))
    if (text(header, "SOPInstanceUID"), text(header, "SOPClassUID")) != (
        arrived.sop_instance_uid,
        arrived.sop_class_uid,
    ):
        comment = "the command's SOP UIDs differ from the data set's"
        return Verdict(Status.MISMATCH, comment, header)
    return keep_film(arrived, header, receiver)


def keep_film(arrived: Arrived, header: Dataset, receiver: Receiver) -> Verdict:
    """Keep a film whose header says what is said of it; success as for `receive`."""
    head = file_head(
        arrived.sop_class_uid,
        arrived.sop_instance_uid,
        arrived.transfer_syntax_uid,
        arrived.origin.source_ae,
    )
    try:
        path = receiver.intake.put([head, arrived.encoded], datetime.now(UTC))
    except OSError as error:
        _log.error("A film was refused: it could not be written (%s).", error.strerror)
        return Verdict(Status.OUT_OF_RESOURCES, "the film cannot be stored at the moment", header)
    film = _film(arrived, header, head, path)
    try:
        outcome = receiver.committer.commit(film)
    except SQLAlchemyError as error:
        receiver.intake.settle(path, keep=False)
        _log.error("A film was refused: it could not be recorded (%s).", type(error).__name__)
        return Verdict(Status.OUT_OF_RESOURCES, _NOT_RECORDED, header)
    except UncertainError:
        # Not settled: the next start of a listener finds the file and whether it has a row.
        _log.error("A film was refused: the database did not say whether it is recorded.")
        return Verdict(Status.OUT_OF_RESOURCES, _NOT_RECORDED, header)
    receiver.intake.settle(path, keep=outcome is not Outcome.DUPLICATE)
    film_came(receiver.trail, film, outcome)
    if outcome is Outcome.ALTERED:
        _log.warning("A film came again with other content; both copies are kept.")
    if outcome is not Outcome.DUPLICATE:
        metrics.FILM_BYTES.inc(len(arrived.encoded))
    receiver.count(arrived.origin, outcome.value)
    return Verdict(Status.SUCCESS)


def _film(arrived: Arrived, header: Dataset, head: bytes, path: str) -> Film:
    whole = hashlib.sha256(head)
    whole.update(arrived.encoded)
    return Film(
        study_instance_uid=text(header, "StudyInstanceUID"),
        series_instance_uid=text(header, "SeriesInstanceUID"),
        sop_instance_uid=text(header, "SOPInstanceUID"),
        sop_class_uid=text(header, "SOPClassUID"),
        transfer_syntax_uid=arrived.transfer_syntax_uid,
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
        size=len(head) + len(arrived.encoded),
        sha256=hashlib.sha256(arrived.encoded).hexdigest(),
        file_sha256=whole.hexdigest(),
        source_ae=arrived.origin.source_ae,
        called_ae=arrived.origin.called_ae,
        source_address=arrived.origin.source_address,
    )


def _sender(association: Association) -> Origin:
    requestor = association.requestor
    called_ae = requestor.primitive.called_ae_title if requestor.primitive else ""
    return Origin(requestor.ae_title.strip(), called_ae.strip(), requestor.address or "")


def _answer(verdict: Verdict) -> Dataset:
    response = Dataset()
    response.Status = int(verdict.status)
    if verdict.comment:
        response.ErrorComment = verdict.comment[:_MOST_COMMENT]
    return response
