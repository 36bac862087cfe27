"""An archive that is asked by C-FIND and C-GET or C-MOVE, Study Root (PS3.4 annex C)."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence

from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import build_role, evt
from pynetdicom.association import Association
from pynetdicom.events import Event

from scp_service.answer import PeerError
from scp_service.archives.found import (
    ArchiveError,
    FoundImage,
    FoundStudy,
    RetrieveError,
    UnavailableError,
)
from scp_service.archives.query import Query
from scp_service.archives.statuses import (
    NOT_AUTHORIZED,
    UNKNOWN_DESTINATION,
    is_pending,
    meaning,
)
from scp_service.header import text
from scp_service.listener import SOP_CLASSES
from scp_service.receive import Origin, Receiver, Status, handle_store
from scp_service.store_scu import Peer, associate, release
from settings import DicomArchive, Settings

# Study Root Query/Retrieve Information Model: FIND, GET and MOVE (PS3.4 C.6.2.3)
FIND = "1.2.840.10008.5.1.4.1.2.2.1"
GET = "1.2.840.10008.5.1.4.1.2.2.3"
MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
SYNTAXES = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))


class DimseArchive:
    """One archive, over one association at a time that is opened again where it has ended.

    Args:
        receiver: where films go; None where it is only asked what it has.
    """

    def __init__(
        self, archive: DicomArchive, settings: Settings, receiver: Receiver | None
    ) -> None:
        self._archive = archive
        self._listener = settings.listener
        self._receiver = receiver
        self._calling = archive.calling_ae_title or settings.listener.ae_title
        self._model = GET if archive.retrieve == "get" else MOVE
        self._association: Association | None = None
        self._refusals: list[str] = []

    @property
    def where(self) -> str:
        """Its AE title, host and port."""
        return f"{self._archive.ae_title} at {self._archive.host}:{self._archive.port}"

    def probe(self) -> None:
        """Associate, to see whether it offers what is needed."""
        self._associated()

    def studies(self, query: Query) -> list[FoundStudy]:
        """Find studies: one C-FIND for each modality, since only one value can match (CS)."""
        found: dict[str, FoundStudy] = {}
        for modality in query.modalities:
            for match in self._find(study_keys(query, modality)):
                study = FoundStudy(
                    text(match, "StudyInstanceUID"),
                    text(match, "StudyDate"),
                    text(match, "StudyDescription"),
                    text(match, "AccessionNumber"),
                    text(match, "PatientID"),
                    text(match, "PatientName"),
                )
                if study.study_instance_uid and query.describes(study.study_description):
                    found.setdefault(study.study_instance_uid, study)
        return list(found.values())

    def images(self, study: FoundStudy, modalities: Sequence[str]) -> list[FoundImage]:
        """Find the images in a study's series of these modalities, one C-FIND for each series."""
        series = self._find(series_keys(study))
        return [
            FoundImage(
                text(each, "SeriesInstanceUID"),
                text(image, "SOPInstanceUID"),
                text(image, "SOPClassUID"),
            )
            for each in series
            if text(each, "Modality") in modalities
            for image in self._images_of(study, text(each, "SeriesInstanceUID"))
        ]

    def _images_of(self, study: FoundStudy, series: str) -> list[Dataset]:
        return self._find(image_keys(study, series))

    def retrieve(self, study: FoundStudy, images: Sequence[FoundImage]) -> None:
        """Retrieve images by name: one request on the IMAGE level for each series."""
        by_series: defaultdict[str, list[str]] = defaultdict(list)
        for image in images:
            by_series[image.series_instance_uid].append(image.sop_instance_uid)
        for series, uids in by_series.items():
            self._retrieve(
                _keys(
                    "IMAGE", study.study_instance_uid, SeriesInstanceUID=series, SOPInstanceUID=uids
                )
            )

    def close(self) -> None:
        """Release the association where there is one."""
        if self._association is not None:
            release(self._association)
        self._association = None

    def _find(self, keys: Dataset) -> list[Dataset]:
        matches: list[Dataset] = []
        for status, match in self._responses("find", keys, FIND):
            if not is_pending(status):
                self._judge(status)
            elif match is None:
                raise RetrieveError("it sent a match that cannot be parsed")
            else:
                matches.append(match)
        return matches

    def _retrieve(self, keys: Dataset) -> None:
        self._refusals.clear()
        for status, _ in self._responses(self._archive.retrieve, keys, self._model):
            if is_pending(status):
                continue
            if self._refusals:
                count, why = len(self._refusals), self._refusals[0]
                raise RetrieveError(f"{count} of its images could not be kept here: {why}")
            self._judge(status)

    def _responses(
        self, operation: str, keys: Dataset, model: str
    ) -> Iterator[tuple[int, Dataset | None]]:
        association = self._associated()
        asked = time.monotonic()
        try:
            if operation == "move":
                answers = association.send_c_move(keys, self._listener.ae_title, model)
            else:
                answers = getattr(association, f"send_c_{operation}")(keys, model)
            for answer, identifier in answers:
                if "Status" not in answer:
                    raise UnavailableError(self._why_silent(time.monotonic() - asked))
                yield int(answer.Status), identifier
                asked = time.monotonic()
        except RuntimeError:
            raise UnavailableError("it ended the association") from None

    def _why_silent(self, seconds: float) -> str:
        if seconds >= self._archive.timeout_seconds:
            return f"it did not answer within {seconds:.0f} s (timeout_seconds)"
        return (
            f"it ended the association instead of answering; does it know {self._calling} as a node"
            " that may query and retrieve?"
        )

    def _judge(self, status: int) -> None:
        """Raise what a final status other than success means."""
        if status == 0x0000:
            return
        if status == UNKNOWN_DESTINATION:
            raise ArchiveError(
                f"it does not know {self._listener.ae_title} as a move destination (status A801):"
                f" add {self._listener.ae_title} there, with this machine's address and port"
                f' {self._listener.port}, or set retrieve = "get"'
            )
        if status == NOT_AUTHORIZED:
            raise ArchiveError(f"{meaning(status)}: allow {self._calling} there")
        hint = ""
        if self._model == MOVE and 0xC000 <= status <= 0xCFFF:
            hint = f"; does it know {self._listener.ae_title} as a move destination?"
        raise RetrieveError(meaning(status) + hint)

    def _associated(self) -> Association:
        if self._association is not None and self._association.is_established:
            return self._association
        archive, by_get = self._archive, self._model == GET
        syntaxes = self._listener.transfer_syntaxes
        contexts = [(model, syntax) for model in (FIND, self._model) for syntax in SYNTAXES]
        # One context each, so that the archive can send every image encoded as it keeps it.
        films = [(str(each), syntax) for each in SOP_CLASSES for syntax in syntaxes]
        peer = Peer(
            archive.host,
            archive.port,
            archive.ae_title,
            self._calling,
            archive.timeout_seconds,
            archive.tls,
        )
        try:
            association = associate(
                peer,
                [*contexts, *(films if by_get else [])],
                handlers=[(evt.EVT_C_STORE, self._keep)],
                # With C-GET the images come over this association (PS3.7 D.3.3.4).
                roles=[build_role(each, scp_role=True) for each in SOP_CLASSES if by_get],
            )
        except PeerError as error:
            raise UnavailableError(str(error)) from None
        self._association = association
        accepted = {str(context.abstract_syntax) for context in association.accepted_contexts}
        if missing := {FIND, self._model} - accepted:
            self.close()
            raise ArchiveError(_not_offered(missing, archive.retrieve))
        return association

    def _keep(self, event: Event) -> Dataset:
        """Answer a C-STORE request of a C-GET: kept as what a peer sends by itself is."""
        assert self._receiver is not None, "an archive that is only asked gives nothing"
        origin = Origin(self._archive.ae_title, self._calling, _address(event.assoc))
        answer = handle_store(event, self._receiver, origin)
        if answer.Status != Status.SUCCESS:
            self._refusals.append(str(answer.get("ErrorComment", "")))
        return answer


def _address(association: Association) -> str:
    """Return the address of the other side; the archive may be configured by a name."""
    ours = association.dul.socket
    connection = ours.socket if ours is not None else None
    return str(connection.getpeername()[0]) if connection is not None else ""


def study_keys(query: Query, modality: str) -> Dataset:
    """Return the identifier of a C-FIND on the STUDY level."""
    keys = _keys(
        "STUDY",
        "",
        StudyDate=query.dates,
        ModalitiesInStudy=modality,
        AccessionNumber=query.accession_number,
        PatientID=query.patient_id,
        PatientName="",
        StudyDescription=query.study_description,
    )
    if not all(value.isascii() for value in (query.patient_id, query.study_description)):
        keys.SpecificCharacterSet = "ISO_IR 192"
    return keys


def series_keys(study: FoundStudy) -> Dataset:
    """Return the identifier of a C-FIND on the SERIES level."""
    return _keys("SERIES", study.study_instance_uid, SeriesInstanceUID="", Modality="")


def image_keys(study: FoundStudy, series_instance_uid: str) -> Dataset:
    """Return the identifier of a C-FIND on the IMAGE level."""
    keys = {"SeriesInstanceUID": series_instance_uid, "SOPInstanceUID": "", "SOPClassUID": ""}
    return _keys("IMAGE", study.study_instance_uid, **keys)


def _keys(level: str, study: str, **keys: str | list[str]) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    identifier.StudyInstanceUID = study
    for keyword, value in keys.items():
        setattr(identifier, keyword, value)
    return identifier


def _not_offered(missing: set[str], retrieve: str) -> str:
    if FIND in missing:
        return "it offers no query (Study Root C-FIND) to us; allow it there"
    other = "move" if retrieve == "get" else "get"
    return f'it offers no C-{retrieve.upper()} (Study Root) to us; set retrieve = "{other}"'
