"""FHIR R4: to a server that reads resources with another library, and to servers that misbehave."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from db.files import FileStore
from scp_service.answer import Outcome, PeerError
from settings import Settings
from tests.scp_service.destinations.documents import (
    FAILED,
    NEGATIVE,
    REVISED,
    document,
    encoded,
)
from tests.scp_service.destinations.fhir_server import FhirServer
from tests.scp_service.destinations.sending import parcel, probe, send, settings_for
from tests.scp_service.destinations.web_servers import Asked, Told, WebServer


def to(url: str, **values: Any) -> Settings:
    return settings_for("fhir", url=url, **values)


def later(*, hours: int) -> dict[str, str]:
    """Return the change that has the example recorded later."""
    return {
        "report__recorded_at": (document().report.recorded_at + timedelta(hours=hours)).isoformat()
    }


def written(store: FileStore, *reports: bytes, **values: Any) -> FhirServer:
    """Send documents to a fresh server, which takes them all."""
    with FhirServer() as server:
        answers = send(to(server.url, **values), store, *(parcel(store, each) for each in reports))
    assert [each.outcome for each in answers] == [Outcome.STORED] * len(reports)
    return server


def coded(concept: Any) -> tuple[str | None, str]:
    (coding,) = concept.coding
    return coding.system, coding.code


def observations(server: FhirServer) -> dict[str, Any]:
    """Map the codes of a server's observations to them."""
    return {coded(each.code)[1]: each for each in server.of_type("Observation")}


# --- what is written -------------------------------------------------------------------------

SNOMED = "http://snomed.info/sct"
DCM = "http://dicom.nema.org/resources/ontology/DCM"
PNEUMONIA, OPACITY, NORMALITY = "233604007", "112033", "121402"


def test_a_report_says_of_whom_of_what_and_that_nobody_verified_it(store: FileStore) -> None:
    (report,) = written(store, encoded()).of_type("DiagnosticReport")
    said = document()
    assert report.status == "preliminary"
    assert report.conclusion == said.report.sentence
    assert "not verified by a physician" in report.conclusion
    assert report.subject.identifier.value == "P-7"
    assert report.subject.display == "Phantom^Paula"
    assert report.basedOn[0].identifier.value == "A7001"
    assert coded(report.basedOn[0].identifier.type)[1] == "ACSN"
    assert report.imagingStudy[0].identifier.value == f"urn:oid:{said.study.uid}"
    assert {(each.system, each.value) for each in report.identifier} > {
        ("urn:dicom:uid", f"urn:oid:{said.report.uid}")
    }
    assert report.effectiveDateTime.origval == "2024-03-11"
    assert coded(report.code) == (SNOMED, "399208008")
    assert coded(report.category[0])[1] == "RAD"


def test_the_results_of_a_report_are_its_observations(store: FileStore) -> None:
    server = written(store, encoded())
    found = observations(server)
    assert set(found) == {PNEUMONIA, OPACITY, NORMALITY}
    names = {name.removeprefix("Observation/") for name in server.resources}
    (report,) = server.of_type("DiagnosticReport")
    assert {each.reference for each in report.result} < names
    (device,) = [name for name in names if name.startswith("Device/")]
    for observation in found.values():
        assert observation.status == "preliminary"
        assert f"Device/{observation.device.reference}" == device
        assert observation.subject.identifier.value == "P-7"


def test_a_positive_study_is_flagged_with_its_probability(store: FileStore) -> None:
    found = observations(written(store, encoded()))
    pneumonia = found[PNEUMONIA]
    assert coded(pneumonia.valueCodeableConcept) == (SNOMED, "52101004")
    (component,) = pneumonia.component
    assert coded(component.code) == (DCM, "122157")
    assert (component.valueQuantity.value, component.valueQuantity.code) == (87.31, "%")
    assert component.referenceRange[0].high.value == 42
    for each in found.values():
        assert coded(each.interpretation[0])[1] == "A"
    assert coded(found[NORMALITY].valueCodeableConcept)[1] == "263654008"


def test_a_negative_study_is_not(store: FileStore) -> None:
    found = observations(written(store, encoded(**NEGATIVE)))
    assert coded(found[PNEUMONIA].valueCodeableConcept)[1] == "272519000"
    assert coded(found[NORMALITY].valueCodeableConcept)[1] == "17621005"
    assert [each.interpretation for each in found.values()] == [None] * 3


def test_a_study_that_could_not_be_read_never_looks_normal(store: FileStore) -> None:
    server = written(store, encoded(**FAILED))
    for each in observations(server).values():
        assert (each.status, each.valueCodeableConcept, each.component) == ("cancelled", None, None)
        assert coded(each.dataAbsentReason)[1] == "not-performed"
    (report,) = server.of_type("DiagnosticReport")
    assert (report.status, report.conclusion.split(",")[0]) == (
        "partial",
        "Not analysed (a lateral view)",
    )


def test_the_algorithm_is_named_and_what_it_is_for(store: FileStore) -> None:
    (device,) = written(store, encoded()).of_type("Device")
    assert (device.deviceName[0].name, device.version[0].value) == ("hilum-default", "1")
    assert device.manufacturer == "Hilum"
    assert "not for clinical use" in device.note[0].text


def test_the_site_names_its_systems(store: FileStore) -> None:
    systems = {"patient_system": "urn:oid:1.2.3", "accession_system": "urn:oid:1.2.4"}
    (report,) = written(store, encoded(), **systems).of_type("DiagnosticReport")
    assert report.subject.identifier.system == "urn:oid:1.2.3"
    assert report.basedOn[0].identifier.system == "urn:oid:1.2.4"


def test_a_time_is_told_where_its_zone_is_known(store: FileStore) -> None:
    server = written(store, encoded(study__utc_offset="+0100", study__time="101530.25"))
    (report,) = server.of_type("DiagnosticReport")
    assert report.effectiveDateTime.origval == "2024-03-11T10:15:30+01:00"


def test_what_the_films_do_not_say_is_left_out(store: FileStore) -> None:
    nobody = dict.fromkeys(("patient__id", "patient__name"), None)
    nothing = dict.fromkeys(("study__accession_number", "study__date"), None)
    (report,) = written(store, encoded(**nobody, **nothing)).of_type("DiagnosticReport")
    assert (report.subject, report.basedOn, report.effectiveDateTime) == (None, None, None)


def test_a_procedure_of_a_scheme_without_a_uri_keeps_its_code(store: FileStore) -> None:
    procedure = {"code": "RX1", "scheme": "99LOCAL", "meaning": "Chest"}
    server = written(store, encoded(study__procedure=procedure))
    (report,) = server.of_type("DiagnosticReport")
    assert (coded(report.code), report.code.text) == ((None, "RX1"), "Chest")


# --- again, and later ------------------------------------------------------------------------


def test_the_same_report_again_adds_nothing(store: FileStore) -> None:
    once, twice = written(store, encoded()), written(store, encoded(), encoded())
    assert twice.resources == once.resources


def test_a_revision_replaces_what_stands_there(store: FileStore) -> None:
    revised = encoded(**REVISED, **NEGATIVE, **later(hours=1))
    server = written(store, encoded(), revised)
    assert server.resources == written(store, revised).resources


def test_an_older_revision_that_comes_late_changes_nothing(store: FileStore) -> None:
    revised = encoded(**REVISED, **NEGATIVE, **later(hours=1))
    server = written(store, revised, encoded())
    assert server.resources == written(store, revised).resources


def test_studies_do_not_meet(store: FileStore) -> None:
    server = written(store, encoded(), encoded(study__uid="1.2.3", report__uid="2.25.9"))
    assert len(server.of_type("DiagnosticReport")) == 2
    assert len(server.of_type("Observation")) == 6
    assert len(server.of_type("Device")) == 1


# --- what is answered ------------------------------------------------------------------------


def answering(told: Told) -> WebServer:
    """Serve a server without reports that answers every transaction alike."""
    nothing = Told(200, b'{"resourceType": "Bundle", "type": "searchset"}')
    return WebServer(lambda asked: nothing if asked.method == "GET" else told)


def outcome_of(code: str, status: int = 422) -> Told:
    issue = {"severity": "error", "code": code, "diagnostics": "Ann Other is unknown"}
    body = json.dumps({"resourceType": "OperationOutcome", "issue": [issue]})
    return Told(status, body.encode())


@pytest.mark.parametrize(
    ("told", "outcome", "reason"),
    [
        (outcome_of("business-rule"), Outcome.REFUSED, "HTTP status 422, business-rule"),
        (outcome_of("Ann Other"), Outcome.REFUSED, "HTTP status 422"),
        (outcome_of("exception", 500), Outcome.TEMPORARY, "HTTP status 500, exception"),
        (Told(400, b"[]"), Outcome.REFUSED, "HTTP status 400"),
        (Told(412, b'{"issue": []}'), Outcome.REFUSED, "HTTP status 412"),
        (Told(200, b"{}"), Outcome.REFUSED, "did not say that it wrote"),
        (Told(200, b"nothing"), Outcome.REFUSED, "did not say that it wrote"),
        (
            Told(200, b'{"entry": [{"response": {"status": "201"}}]}'),
            Outcome.REFUSED,
            "did not say that it wrote",
        ),
    ],
)
def test_what_an_answer_means_for_the_report_and_whom_it_does_not_quote(
    store: FileStore, told: Told, outcome: Outcome, reason: str
) -> None:
    with answering(told) as server:
        (answer,) = send(to(server.url), store, parcel(store, encoded()))
    assert answer.outcome is outcome
    assert reason in answer.reason
    assert "Ann" not in answer.reason


@pytest.mark.parametrize(
    "told",
    [
        Told(200, b"nothing"),
        Told(200, b"[]"),
        Told(200, b'{"resourceType": "Bundle", "entry": [{}]}'),
        Told(200, b'{"resourceType": "Bundle", "entry": 5}'),
        Told(400, b"{}"),
    ],
)
def test_a_server_that_cannot_be_searched_is_not_written_to(store: FileStore, told: Told) -> None:
    with WebServer(lambda _: told) as server, pytest.raises(PeerError, match="something else"):
        send(to(server.url), store, parcel(store, encoded()))
    assert [each.method for each in server.asked] == ["GET"]


# --- probes ----------------------------------------------------------------------------------


def test_a_probe_asks_what_the_server_can_do() -> None:
    with FhirServer() as server:
        probe(to(server.url))
    assert [each.target for each in server.asked] == ["/metadata"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<html>", "does not say what it can do"),
        (b'{"resourceType": "CapabilityStatement", "fhirVersion": "3.0.2"}', "another version"),
    ],
)
def test_what_is_no_fhir_r4_server_is_told(body: bytes, reason: str) -> None:
    def script(_: Asked) -> Told:
        return Told(200, body)

    with WebServer(script) as server, pytest.raises(PeerError, match=reason):
        probe(to(server.url))
