"""An archive that is asked by QIDO-RS and WADO-RS (PS3.18 10.6 and 10.4)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from urllib.parse import quote, urlencode

from pydicom import Dataset

from db.files import FileStore
from scp_service.answer import PeerError
from scp_service.archives.found import (
    ArchiveError,
    FoundImage,
    FoundStudy,
    RetrieveError,
    UnavailableError,
)
from scp_service.archives.query import Query
from scp_service.dicomweb.files import FILE_HEAD_BYTES, Kept, keep_parts
from scp_service.dicomweb.multipart import (
    DICOM,
    MultipartError,
    PartReader,
    SingleFile,
    TooManyPartsError,
    media_type,
)
from scp_service.dicomweb.spool import Spool
from scp_service.header import is_uid, text
from scp_service.receive import Origin, Receiver
from scp_service.web import Answering, Web
from settings import DicomwebArchive, Settings

_JSON = {"Accept": "application/dicom+json"}
_AS_IT_IS = {
    "Accept": f'multipart/related; type="{DICOM}"; transfer-syntax=*',
    "Accept-Encoding": "identity",
}
"""Without the transfer syntax, an archive would decompress its films (PS3.18 8.7.3.5.2)."""
_PAGE = 100
"""How many matches are asked for at once; some servers refuse more than 200."""
_LONGEST_PAGE_BYTES = 64 * 1024 * 1024
_MOST_PARTS = 16
"""Of the answer for one image, which should have one."""
_LOGIN_REFUSED = {401, 403, 407}
_BUSY = {408, 425, 429, 502, 503, 504}
_OK, _NO_CONTENT = 200, 204


class WebArchive:
    """One archive, over connections that stay open in between.

    Args:
        receiver: where films go; None where it is only asked what it has.
    """

    def __init__(
        self, archive: DicomwebArchive, settings: Settings, receiver: Receiver | None
    ) -> None:
        self._archive = archive
        self._receiver = receiver
        self._called = settings.listener.ae_title
        self._web: Web | None = None

    @property
    def where(self) -> str:
        """The URL of its DICOMweb root."""
        return self._archive.url

    def probe(self) -> None:
        """Search for one study, whichever, to see whether it answers."""
        self._page("/studies", {"limit": "1"})

    def studies(self, query: Query) -> list[FoundStudy]:
        """Search for studies: once for each modality, as C-FIND would be asked."""
        found: dict[str, FoundStudy] = {}
        for modality in query.modalities:
            for match in self._search("/studies", _keys(query, modality), "StudyInstanceUID"):
                study = FoundStudy(
                    text(match, "StudyInstanceUID"),
                    text(match, "StudyDate"),
                    text(match, "StudyDescription"),
                    text(match, "AccessionNumber"),
                    text(match, "PatientID"),
                    text(match, "PatientName"),
                )
                if query.describes(study.study_description):
                    found.setdefault(study.study_instance_uid, study)
        return list(found.values())

    def images(self, study: FoundStudy, modalities: Sequence[str]) -> list[FoundImage]:
        """Search for the images in a study's series of these modalities, once for each series."""
        path = f"/studies/{study.study_instance_uid}/series"
        return [
            FoundImage(
                text(series, "SeriesInstanceUID"),
                text(image, "SOPInstanceUID"),
                text(image, "SOPClassUID"),
            )
            for series in self._search(path, {}, "SeriesInstanceUID")
            if text(series, "Modality") in modalities
            for image in self._search(
                f"{path}/{text(series, 'SeriesInstanceUID')}/instances", {}, "SOPInstanceUID"
            )
        ]

    def retrieve(self, study: FoundStudy, images: Sequence[FoundImage]) -> None:
        """Retrieve images one by one, each as the archive keeps it."""
        failures = [
            failure
            for image in images
            if (failure := self._retrieve(study.study_instance_uid, image)) is not None
        ]
        if failures:
            raise RetrieveError(f"{len(failures)} of its images did not come: {failures[0]}")

    def close(self) -> None:
        """Hang up; the next request connects again."""
        if self._web is not None:
            self._web.close()
        self._web = None

    def _connected(self) -> Web:
        if self._web is None:
            try:
                self._web = Web(self._archive, self._archive.timeout_seconds)
            except PeerError as error:  # a certificate or a secret cannot be had
                raise ArchiveError(str(error)) from None
        return self._web

    def _search(self, path: str, keys: Mapping[str, str], uid: str) -> Iterator[Dataset]:
        """Yield all matches, page by page, until a page brings none that is new.

        A server may send fewer than it is asked for, and need not say so (PS3.18 8.3.4.4).
        """
        seen: set[str] = set()
        while True:
            paging = {"limit": str(_PAGE), "offset": str(len(seen))}
            page = {text(match, uid): match for match in self._page(path, {**keys, **paging})}
            if not all(map(is_uid, page)):
                raise RetrieveError(f"it sent a match without a valid {uid}")
            new = [each for each in page if each not in seen]
            if not new:
                return
            seen.update(new)
            yield from (page[each] for each in new)

    def _page(self, path: str, params: Mapping[str, str]) -> list[Dataset]:
        web = self._connected()
        # What RFC 3986 3.4 lets stand as it is stays so: Orthanc 1.10 takes %3F for three letters.
        query = urlencode(params, quote_via=quote, safe="*?/:")
        try:
            reply = web.ask(
                "GET", f"{path}?{query}", headers=_JSON, longest_bytes=_LONGEST_PAGE_BYTES
            )
        except PeerError as error:
            raise UnavailableError(str(error)) from None
        if reply.status == _NO_CONTENT:
            return []
        if reply.status != _OK:
            _judge(reply.status)
            if path == "/studies":
                raise ArchiveError(
                    f"it offers no search (QIDO-RS) at its url (HTTP status {reply.status})"
                )
            raise RetrieveError(f"it does not tell what it has (HTTP status {reply.status})")
        try:
            return [Dataset.from_json(item) for item in json.loads(reply.body or b"[]")]
        except Exception as error:
            # pydicom raises almost anything on broken input; its text may hold a value.
            raise RetrieveError(
                f"it sent matches that cannot be parsed ({type(error).__name__})"
            ) from None

    def _retrieve(self, study: str, image: FoundImage) -> str | None:
        """Retrieve an image; return why it did not come, None where it is here."""
        path = (
            f"/studies/{study}/series/{image.series_instance_uid}"
            f"/instances/{image.sop_instance_uid}"
        )
        web = self._connected()
        try:
            with web.open("GET", path, headers=_AS_IT_IS) as answer:
                if answer.status != _OK:
                    _judge(answer.status)
                    return f"it does not send one (HTTP status {answer.status})"
                kept = self._keep_all(answer, study)
        except PeerError as error:
            raise UnavailableError(str(error)) from None
        except (MultipartError, TooManyPartsError) as error:
            return f"it did not send one as it should ({error})"
        failed = [each.comment for each in kept if each.failure is not None]
        if failed:
            return f"one could not be kept here ({failed[0]})"
        return None if kept else "its answer holds none"

    def _keep_all(self, answer: Answering, study: str) -> list[Kept]:
        assert self._receiver is not None, "an archive that is only asked gives nothing"
        receiver = self._receiver
        origin = Origin(self._archive.ae_title, self._called, answer.address)
        limit = receiver.limits.max_dataset_bytes + FILE_HEAD_BYTES
        with closing(_reader(answer.content_type, receiver.store, limit)) as reader:
            came = 0
            for piece in answer.pieces:
                came += len(piece)
                if came > limit + FILE_HEAD_BYTES:
                    raise MultipartError("it is larger than an image may be here")
                reader.feed(piece)
            reader.finish()
            return keep_parts(reader.take(), origin, receiver, study)


def _reader(content_type: str, store: FileStore, limit: int) -> PartReader | SingleFile:
    """Return what reads an answer's body.

    Raises:
        MultipartError: it is neither parts nor a DICOM file.
    """
    kind, options = media_type(content_type)
    if kind == DICOM:
        return SingleFile(Spool(store.root, limit))
    if kind != "multipart/related":
        raise MultipartError("it is no DICOM file")
    boundary = options.get("boundary", "")
    return PartReader(boundary, store.root, part_bytes=limit, most_parts=_MOST_PARTS)


def _judge(status: int) -> None:
    """Raise what a status says of the archive as a whole, if it does."""
    said = f"(HTTP status {status})"
    if status in _LOGIN_REFUSED:
        raise ArchiveError(f"it does not accept our login {said}")
    if status in _BUSY:
        raise UnavailableError(f"it is busy {said}")
    if 300 <= status < 400:
        raise ArchiveError(f"it sends us elsewhere {said}, which is not followed; correct url")


def _keys(query: Query, modality: str) -> dict[str, str]:
    """Return the search parameters that are given (PS3.18 10.6.1.2).

    The description is none of those that every server must know: it is compared here.
    """
    keys = {
        "ModalitiesInStudy": modality,
        "StudyDate": query.dates,
        "AccessionNumber": query.accession_number,
        "PatientID": query.patient_id,
        "includefield": "StudyDescription",
    }
    return {name: value for name, value in keys.items() if value}
