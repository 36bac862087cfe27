"""Delivery of reports to a FHIR R4 server by its REST API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from db.deliveries import Parcel
from db.files import FileStore
from scp_service.answer import Answer, Outcome, PeerError
from scp_service.destinations.by_url import UrlConnector
from scp_service.destinations.document import Document, read_document
from scp_service.destinations.fhir.resources import Systems, report_search, transaction
from scp_service.web import Web
from settings import FhirDestination

_JSON = "application/fhir+json"
_SUCCESS = ("200", "201", "204")

_ISSUE_CODES = frozenset(
    [
        "invalid",
        "structure",
        "required",
        "value",
        "invariant",
        "security",
        "login",
        "unknown",
        "expired",
        "forbidden",
        "suppressed",
        "processing",
        "not-supported",
        "duplicate",
        "multiple-matches",
        "not-found",
        "deleted",
        "too-long",
        "code-invalid",
        "extension",
        "too-costly",
        "business-rule",
        "conflict",
        "transient",
        "lock-error",
        "no-store",
        "exception",
        "timeout",
        "incomplete",
        "throttled",
        "informational",
    ]
)
"""What an OperationOutcome may say without quoting anybody (value set issue-type)."""


class FhirConnector(UrlConnector[FhirDestination]):
    """A FHIR server."""

    @contextmanager
    def connected(self, store: FileStore) -> Iterator[FhirConnection]:
        """Begin to send over connections that stay open.

        Raises:
            PeerError: a certificate or a secret cannot be had.
        """
        systems = Systems(self._destination.patient_system, self._destination.accession_system)
        with self._calls() as web:
            yield FhirConnection(web, systems, store)

    def probe(self) -> None:
        """Ask what the server can do (its CapabilityStatement).

        Raises:
            PeerError: it does not answer, or not as a FHIR R4 server.
        """
        with self._probes() as web:
            reply = web.ask("GET", "/metadata", headers={"Accept": _JSON}).about_what_was_sent()
        said = _resource(reply.body)
        if not reply.ok or said.get("resourceType") != "CapabilityStatement":
            raise PeerError("it does not say what it can do, as a FHIR server does at /metadata")
        if not str(said.get("fhirVersion", "")).startswith("4."):
            raise PeerError("it speaks another version of FHIR than R4")


class FhirConnection:
    """A server that reports are written to one by one."""

    def __init__(self, web: Web, systems: Systems, store: FileStore) -> None:
        self._web = web
        self._systems = systems
        self._store = store

    def send(self, parcel: Parcel) -> Answer:
        """Write a report, unless a later revision of it stands there already.

        Raises:
            PeerError: the server does not answer, or cannot be used as a whole.
        """
        document = read_document(self._store.read(parcel.path, parcel.file_sha256))
        standing = self._issued(document)
        if standing is not None and standing > document.report.recorded_at:
            return Answer(Outcome.STORED)
        bundle = transaction(document, self._systems)
        headers = {"Accept": _JSON, "Content-Type": _JSON}
        content = bundle.model_dump_json().encode("utf-8")
        reply = self._web.ask("POST", content=content, headers=headers).about_what_was_sent()
        if not reply.ok:
            return reply.refusal(_issue(_resource(reply.body)))
        return _written(_resource(reply.body), len(bundle.entry or ()), reply.status)

    def _issued(self, document: Document) -> datetime | None:
        """Return when the study's report that stands there was issued; None: there is none."""
        query = report_search(document)
        reply = self._web.ask("GET", f"/{query}", headers={"Accept": _JSON}).about_what_was_sent()
        try:
            return _latest(_resource(reply.body))
        except (KeyError, TypeError, ValueError, AttributeError):
            raise PeerError(
                f"it answered a search for reports with something else (HTTP status {reply.status})"
            ) from None


def _latest(found: dict[str, Any]) -> datetime | None:
    """Return when the last of the reports in a searchset was issued."""
    if found["resourceType"] != "Bundle":
        raise ValueError("no Bundle")
    resources = [entry["resource"] for entry in found.get("entry", ())]
    issued = [
        datetime.fromisoformat(each["issued"]).astimezone(UTC)
        for each in resources
        if each["resourceType"] == "DiagnosticReport"
    ]
    return max(issued, default=None)


def _written(said: dict[str, Any], count: int, status: int) -> Answer:
    """Read a transaction's response, which says for each entry that it was written."""
    entries = said.get("entry", ())
    statuses = [str(each.get("response", {}).get("status", "")) for each in entries]
    if len(statuses) == count and all(each.startswith(_SUCCESS) for each in statuses):
        return Answer(Outcome.STORED, status=status)
    return Answer(Outcome.REFUSED, "it did not say that it wrote the report", status)


def _resource(body: bytes) -> dict[str, Any]:
    """Read a resource; what is none says nothing."""
    try:
        said = json.loads(body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _issue(outcome: dict[str, Any]) -> str | None:
    """Return the code of an OperationOutcome's first issue."""
    issues = outcome.get("issue") or [{}]
    code = issues[0].get("code") if isinstance(issues[0], dict) else None
    return code if code in _ISSUE_CODES else None
