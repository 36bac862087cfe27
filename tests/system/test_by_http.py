"""Films come in by DICOM, and results go out by HTTP: to a PACS, a record and an application."""

from __future__ import annotations

import base64
from pathlib import Path

from pydicom import dcmread
from standardwebhooks.webhooks import Webhook

from tests.peers import dcmsend, orthanc, with_dicomweb
from tests.scp_service.destinations.fhir_server import FhirServer
from tests.scp_service.destinations.web_servers import Told, WebServer
from tests.system.whole import make_films, whole

SECRET = f"whsec_{base64.b64encode(bytes(24)).decode()}"


def test_every_kind_of_server_gets_the_same_reports(tmp_path: Path) -> None:
    """One film that is read and one that is not: all three say so, and agree."""
    films = make_films(tmp_path / "films", 2, kinds=("opacity", "lateral"))
    studies = {str(dcmread(film).StudyInstanceUID) for film in films}
    with (
        orthanc(tmp_path / "orthanc", config=with_dicomweb()) as pacs,
        FhirServer() as record,
        WebServer(lambda _: Told(204)) as application,
    ):
        destinations = [
            {"name": "pacs", "kind": "dicomweb", "url": pacs.dicomweb},
            {"name": "record", "kind": "fhir", "url": record.url},
            {"name": "app", "kind": "webhook", "url": application.url, "secret": SECRET},
        ]
        with whole(tmp_path, destinations=destinations) as service, service.serving():
            assert dcmsend(films, service.port).accepted == 2
            service.wait_until_idle(2)
        tags = [pacs.tags(each) for each in pacs.instances()]

    assert sorted(each["Modality"] for each in tags) == ["OT", "SR", "SR"]
    assert {each["StudyInstanceUID"] for each in tags} == studies

    documents = [
        Webhook(SECRET).verify(asked.body, dict(asked.headers)) for asked in application.asked
    ]
    assert {each["study"]["uid"] for each in documents} == studies
    assert sorted(each["report"]["completeness"] for each in documents) == ["complete", "failed"]
    assert {each["report"]["uid"] for each in documents} == {
        each["SOPInstanceUID"] for each in tags if each["Modality"] == "SR"
    }

    sentences = {each["report"]["sentence"] for each in documents}
    reports = record.of_type("DiagnosticReport")
    assert {each.conclusion for each in reports} == sentences
    assert sorted(each.status for each in reports) == ["partial", "preliminary"]
