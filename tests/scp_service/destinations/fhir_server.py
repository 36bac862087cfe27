"""A small FHIR R4 server of another library, which is strict about resources."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

from fhirclient.models.bundle import Bundle
from fhirclient.models.capabilitystatement import CapabilityStatement
from fhirclient.models.device import Device
from fhirclient.models.diagnosticreport import DiagnosticReport
from fhirclient.models.fhirabstractbase import FHIRValidationError
from fhirclient.models.observation import Observation

from tests.scp_service.destinations.web_servers import Asked, Told, WebServer

MODELS = {each.resource_type: each for each in (Device, DiagnosticReport, Observation)}


class FhirServer(WebServer):
    """Knows /metadata, searches by identifier, and transactions of conditional updates."""

    def __init__(self) -> None:
        self.resources: dict[str, dict[str, Any]] = {}
        self.writes = 0
        super().__init__(self._answer)

    def of_type(self, resource_type: str) -> list[Any]:
        """List the resources of a type, as fhirclient reads them."""
        return [
            MODELS[resource_type](each)
            for each in self.resources.values()
            if each["resourceType"] == resource_type
        ]

    def _answer(self, asked: Asked) -> Told:
        target = urlsplit(asked.target)
        if target.path == "/metadata":
            return _told(200, CapabilityStatement(_CAPABILITIES, strict=True).as_json())
        if asked.method == "GET":
            found = self._matching(target.path.strip("/"), target.query)
            entries = [{"resource": self.resources[name]} for name in found]
            return _told(200, Bundle({"type": "searchset", "entry": entries}).as_json())
        try:
            bundle = Bundle(json.loads(asked.body), strict=True)
            written = [self._prepared(entry) for entry in bundle.entry]
        except (FHIRValidationError, AssertionError, ValueError) as error:
            diagnostics = {"severity": "error", "code": "invariant", "diagnostics": str(error)}
            return _told(422, {"resourceType": "OperationOutcome", "issue": [diagnostics]})
        entries = []
        for name, resource, status in written:
            self.resources[name] = resource
            self.writes += 1
            entries.append({"response": {"status": status}})
        return _told(200, Bundle({"type": "transaction-response", "entry": entries}).as_json())

    def _prepared(self, entry: Any) -> tuple[str, dict[str, Any], str]:
        assert entry.request.method == "PUT"
        resource_type, _, query = entry.request.url.partition("?")
        resource = MODELS[resource_type](entry.resource.as_json(), strict=True).as_json()
        found = self._matching(resource_type, query)
        assert len(found) < 2, "an identifier names one resource"
        name = found[0] if found else f"{resource_type}/{entry.fullUrl}"
        return name, resource, "200 OK" if found else "201 Created"

    def _matching(self, resource_type: str, query: str) -> list[str]:
        ((sought,),) = [parse_qs(query)["identifier"]]
        system, _, value = sought.partition("|")
        assert system
        assert value, "a search for nothing would match everything"
        return [
            name
            for name, resource in self.resources.items()
            if resource["resourceType"] == resource_type
            and {"system": system, "value": value} in resource["identifier"]
        ]


_CAPABILITIES = {
    "resourceType": "CapabilityStatement",
    "status": "active",
    "date": "2024-03-11",
    "kind": "instance",
    "fhirVersion": "4.0.1",
    "format": ["json"],
}


def _told(status: int, resource: dict[str, Any]) -> Told:
    body = json.dumps(resource).encode()
    return Told(status, body, {"Content-Type": "application/fhir+json"})
