"""Delivery by STOW-RS (PS3.18 10.5): one request for each object."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO

from pydicom import Dataset
from pydicom.uid import UID, Comprehensive3DSRStorage

from db.deliveries import Parcel
from db.files import FileStore
from scp_service.answer import Answer, Outcome
from scp_service.destinations.adapt import Form, adapt, forms
from scp_service.destinations.by_url import UrlConnector
from scp_service.web import Reply, Web
from settings import DicomwebDestination

_JSON = "application/dicom+json"

_ALL_STORED = 200
_NO_RESOURCES = 0xA7
_STORED = "ReferencedSOPSequence"
_BODY = b"--%s\r\nContent-Type: application/dicom\r\n\r\n%s\r\n--%s--\r\n"
_NO_STUDY = "2.25.0"
_METHOD_NOT_ALLOWED, _UNSUPPORTED_MEDIA_TYPE = 405, 415
_NO_SUCH_CLASS, _NO_SUCH_SYNTAX = 0x0122, 0xC122
"""Failure reasons for which another form of the object may do (PS3.18 I.2.2)."""


class DicomwebConnector(UrlConnector[DicomwebDestination]):
    """A DICOMweb server."""

    @contextmanager
    def connected(self, store: FileStore) -> Iterator[DicomwebConnection]:
        """Begin to send over connections that stay open.

        Raises:
            PeerError: a certificate or a secret cannot be had.
        """
        with self._calls() as web:
            yield DicomwebConnection(web, store, plain_sr=self._destination.sr == "comprehensive")

    def probe(self) -> None:
        """Search for a study that does not exist (QIDO-RS); servers that only store say 405.

        Raises:
            PeerError: it does not answer, does not let us in, or has no /studies.
        """
        with self._probes() as web:
            nobody = {"StudyInstanceUID": _NO_STUDY}
            reply = web.ask("GET", "/studies", params=nobody, headers={"Accept": _JSON})
        if reply.status != _METHOD_NOT_ALLOWED:
            reply.about_what_was_sent()


class DicomwebConnection:
    """A server that objects are posted to one by one."""

    def __init__(self, web: Web, store: FileStore, *, plain_sr: bool) -> None:
        self._web = web
        self._store = store
        self._refused = {str(Comprehensive3DSRStorage)} if plain_sr else set[str]()

    def send(self, parcel: Parcel) -> Answer:
        """Send an object in the first of its forms that the server takes.

        Raises:
            PeerError: the server does not answer, or cannot be used as a whole.
        """
        kept = (parcel.sop_class_uid, parcel.transfer_syntax_uid)
        answer = Answer(Outcome.REFUSED, "it takes this SOP class in no form that we can send")
        for form in forms(*kept):
            if self._refused & {form.sop_class_uid, form.transfer_syntax_uid}:
                continue
            data = self._store.read(parcel.path, parcel.file_sha256)
            uid = parcel.sop_instance_uid
            if (form.sop_class_uid, form.transfer_syntax_uid) != kept:
                data, uid = _in_form(data, form)
            answer, reason = self._post(data, uid)
            if answer.stored:
                return replace(answer, sent_as=uid if uid != parcel.sop_instance_uid else None)
            if reason == _NO_SUCH_CLASS:
                self._refused.add(form.sop_class_uid)
            elif reason == _NO_SUCH_SYNTAX:
                self._refused.add(form.transfer_syntax_uid)
            else:
                return answer
        return answer

    def _post(self, data: bytes, uid: str) -> tuple[Answer, int | None]:
        boundary = secrets.token_hex(16)
        headers = {
            "Accept": _JSON,
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
        }
        body = _BODY % (boundary.encode(), data, boundary.encode())
        reply = self._web.ask("POST", "/studies", content=body, headers=headers)
        return answer_to(reply.about_what_was_sent(), uid)


def answer_to(reply: Reply, uid: str) -> tuple[Answer, int | None]:
    """Tell what a store response means for the one object that was sent (PS3.18 10.5.3).

    Returns:
        The answer, and the failure reason (0008,1197) if there is one.
    """
    said = _payload(reply.body)
    failed = [*said.get("FailedSOPSequence", ()), *said.get("OtherFailuresSequence", ())]
    if failed:
        reason = int(failed[0].get("FailureReason", 0))
        outcome = Outcome.TEMPORARY if reason >> 8 == _NO_RESOURCES else Outcome.REFUSED
        text = f"it answered HTTP status {reply.status}, failure reason {reason:04X}"
        return Answer(outcome, text, reason or reply.status), reason
    stored = {str(item.get("ReferencedSOPInstanceUID")) for item in said.get(_STORED, ())}
    if reply.status == _ALL_STORED or (reply.ok and uid in stored):
        return Answer(Outcome.STORED, status=reply.status), None
    if reply.ok:
        return Answer(
            Outcome.REFUSED, "it did not say that it stored the object", reply.status
        ), None
    return reply.refusal(), _NO_SUCH_SYNTAX if reply.status == _UNSUPPORTED_MEDIA_TYPE else None


def _payload(body: bytes) -> Dataset:
    """Read a store response (PS3.18 annex I); whatever is none says nothing."""
    try:
        return Dataset.from_json(body.decode("utf-8"))
    except Exception:
        return Dataset()


def _in_form(data: bytes, form: Form) -> tuple[bytes, str]:
    dataset = adapt(data, form)
    dataset.file_meta.TransferSyntaxUID = UID(form.transfer_syntax_uid)
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue(), str(dataset.SOPInstanceUID)
