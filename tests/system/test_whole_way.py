"""A film goes in by DICOM and its reading comes back, through real peers and real processes."""

from __future__ import annotations

import io
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from highdicom.sr import srread
from pydicom import dcmread
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage, ExplicitVRLittleEndian

from db.models import Delivery, Event, Instance, Result, Study
from scp_service.certificates import make_trial
from tests.peers import Orthanc, StoreSCP, dcmsend, free_port, require, run_hilum, storescp
from tests.system.whole import destination, eager_bundle, make_films, whole


def test_a_film_comes_back_as_one_report_and_one_overlay_in_orthanc(
    tmp_path: Path, orthanc: Orthanc
) -> None:
    """The PACS holds the film; after the reading it holds SR and SC of the same study too."""
    [film] = make_films(tmp_path / "films", 1, kinds=["opacity"])
    source = dcmread(film)
    to_orthanc = destination(orthanc.port, "ORTHANC")
    with whole(tmp_path, destinations=[to_orthanc]) as service, service.serving():
        assert dcmsend([film], orthanc.port, called="ORTHANC").accepted == 1
        assert dcmsend([film], service.port).accepted == 1
        orthanc.wait_for_instances(3)
        service.wait_until_idle(1)

        assert len(orthanc.studies()) == 1
        came = {}
        for instance in orthanc.instances():
            dataset = dcmread(io.BytesIO(orthanc.file(instance)))
            came[dataset.Modality] = dataset
        report, overlay = came["SR"], came["OT" if "OT" in came else "CR"]
        assert report.SOPClassUID == Comprehensive3DSRStorage
        assert report.PatientID == source.PatientID
        assert report.StudyInstanceUID == overlay.StudyInstanceUID == source.StudyInstanceUID

        kept = {each.sop_instance_uid: service.data / each.path for each in service.results()}
        for dataset in (report, overlay):
            if dataset.SOPInstanceUID in kept:
                assert dcmread(kept[dataset.SOPInstanceUID]) == dataset
        sentence = " ".join(
            item.TextValue
            for item in report.ContentSequence[-1].ContentSequence
            if "TextValue" in item
        )
        assert sentence.endswith("not verified by a physician")
        assert service.study().sentence == sentence


def test_the_report_is_read_back_by_highdicom(tmp_path: Path, storescp: StoreSCP) -> None:
    """What the PACS received parses as a TID 1500 report with the findings of the history."""
    [film] = make_films(tmp_path / "films", 1, kinds=["opacity"])
    to_pacs = destination(storescp.port, storescp.ae_title)
    env = {"HILUM_WORKER__BUNDLE": str(eager_bundle(tmp_path / "bundle"))}
    with whole(tmp_path, destinations=[to_pacs], env=env) as service, service.serving():
        dcmsend([film], service.port)
        files = storescp.wait_for_files(2)
        service.wait_until_idle(1)
        [path] = [each for each in files if dcmread(each).Modality == "SR"]
        report = srread(str(path))
        groups = report.content.get_planar_roi_measurement_groups()
        reading = service.instances()[0]
        with service.database.read() as session:
            boxes = session.get_one(Instance, reading.id).readings[0].boxes
        assert len(groups) == len(boxes) > 0
        for group, box in zip(groups, boxes, strict=True):
            points = group.roi.value
            assert points.min(axis=0) == pytest.approx([box["x"], box["y"]], abs=0.01)
            size = points.max(axis=0) - points.min(axis=0)
            assert size == pytest.approx([box["width"], box["height"]], abs=0.01)


@pytest.mark.slow
def test_two_hundred_films_over_four_associations_and_the_same_again(
    tmp_path: Path, storescp: StoreSCP
) -> None:
    """200 films make 200 reports; the same 200 again make no work and no objects."""
    films = make_films(tmp_path / "films", 200)
    to_pacs = destination(storescp.port, storescp.ae_title)
    with whole(tmp_path, destinations=[to_pacs]) as service, service.serving():

        def send_all() -> int:
            with ThreadPoolExecutor(4) as pool:
                parts = [films[start::4] for start in range(4)]
                return sum(
                    sent.accepted for sent in pool.map(lambda p: dcmsend(p, service.port), parts)
                )

        assert send_all() == 200
        service.wait_until_idle(200)
        reports = [dcmread(path) for path in storescp.files()]
        assert sorted(each.Modality for each in reports).count("SR") == 200
        assert len({each.SOPInstanceUID for each in reports}) == 400
        assert len(service.results("sr")) == len(service.results("sc")) == 200
        tables = (Study, Instance, Result, Delivery, Event)
        before = {table: service.count(table) for table in tables}

        assert send_all() == 200
        service.wait_until_idle(200)
        assert {table: service.count(table) for table in tables} == before
        assert len(storescp.files()) == 400
        service.assert_no_orphans()


def test_a_late_image_by_stow_rs_revises_the_report(tmp_path: Path, storescp: StoreSCP) -> None:
    """A second film of a reported study makes revision 2, which names its predecessor."""
    (curl,) = require("curl")
    port = free_port()
    env = {"HILUM_DICOMWEB__ENABLED": "true", "HILUM_DICOMWEB__PORT": str(port)}
    first, second = make_films(tmp_path / "films", 2, kinds=["normal", "opacity"])
    late = dcmread(second)
    late.StudyInstanceUID = dcmread(first).StudyInstanceUID
    late.PatientID, late.PatientName = dcmread(first).PatientID, dcmread(first).PatientName
    late.save_as(second)
    to_pacs = destination(storescp.port, storescp.ae_title)
    with whole(tmp_path, destinations=[to_pacs], env=env) as service, service.serving():
        dcmsend([first], service.port)
        service.wait_until_idle(1)
        header, url = "Content-Type: application/dicom", f"http://127.0.0.1:{port}/dicomweb/studies"
        by_web = [curl, "--fail", "--header", header, "--data-binary", f"@{second}", url]
        assert subprocess.run(by_web, capture_output=True, timeout=60, check=True).stdout
        assert [each.source_ae for each in service.instances()] == ["DCMSEND", "STOW-RS"]
        storescp.wait_for_files(5)
        service.wait_until_idle(1)
        assert service.study().revision == 2
        one, two = (dcmread(service.data / each.path) for each in service.results("sr"))
        [study] = two.PredecessorDocumentsSequence
        predecessor = study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
        assert predecessor.ReferencedSOPInstanceUID == one.SOPInstanceUID
        assert one.SOPInstanceUID != two.SOPInstanceUID


def test_a_lateral_is_reported_as_not_analysed(tmp_path: Path, storescp: StoreSCP) -> None:
    """A study without a readable film gets a failed report that says why, and no overlay."""
    [film] = make_films(tmp_path / "films", 1, kinds=["lateral"])
    to_pacs = destination(storescp.port, storescp.ae_title)
    with whole(tmp_path, destinations=[to_pacs]) as service, service.serving():
        dcmsend([film], service.port)
        service.wait_until_idle(1)
        [report] = [dcmread(path) for path in storescp.files()]
        assert report.Modality == "SR"
        study = service.study()
        assert (study.finding, study.probability) == ("failed", None)
        assert "lateral" in study.sentence.lower()
        assert service.instances()[0].refusal_code == "view"


def test_results_take_the_form_that_each_destination_accepts(tmp_path: Path) -> None:
    """One PACS takes all; one only uncompressed images; one only Comprehensive SR."""
    [film] = make_films(tmp_path / "films", 1, kinds=["opacity"])
    implicit, explicit = "1.2.840.10008.1.2", str(ExplicitVRLittleEndian)
    secondary_capture = "1.2.840.10008.5.1.4.1.1.7"
    old = {ComprehensiveSRStorage: [implicit], secondary_capture: [explicit, implicit]}
    with (
        storescp(tmp_path / "new", ae_title="NEW", options=("+xa",)) as new_pacs,
        storescp(tmp_path / "old", ae_title="OLD", contexts=old) as old_pacs,
    ):
        both = [
            destination(new_pacs.port, "NEW", "new"),
            destination(old_pacs.port, "OLD", "old"),
        ]
        with whole(tmp_path, destinations=both) as service, service.serving():
            dcmsend([film], service.port)
            service.wait_until_idle(1)
            new = {each.Modality: each for each in map(dcmread, new_pacs.wait_for_files(2))}
            old_ones = {each.Modality: each for each in map(dcmread, old_pacs.wait_for_files(2))}
            assert new["SR"].SOPClassUID == Comprehensive3DSRStorage
            assert old_ones["SR"].SOPClassUID == ComprehensiveSRStorage
            assert old_ones["SR"].SOPInstanceUID != new["SR"].SOPInstanceUID
            assert [
                item.ConceptNameCodeSequence[0].CodeValue for item in old_ones["SR"].ContentSequence
            ] == [item.ConceptNameCodeSequence[0].CodeValue for item in new["SR"].ContentSequence]
            [image] = [each for name, each in old_ones.items() if name != "SR"]
            assert not image.file_meta.TransferSyntaxUID.is_compressed
            assert image.LossyImageCompression == "01"
            sent_as = {each.sent_as for each in service.deliveries()} - {None}
            assert sent_as == {str(old_ones["SR"].SOPInstanceUID)}


def test_results_return_to_the_sender_by_its_peer_entry_alone(tmp_path: Path) -> None:
    """A peer with `return_results` gets its results at the address that it sent from."""
    [film] = make_films(tmp_path / "films", 1, kinds=["normal"])
    with storescp(tmp_path / "modality", ae_title="MODALITY1", options=("+xa",)) as modality:
        peers = (
            f'[{{"ae_title": "MODALITY1", "address": "127.0.0.0/8", "port": {modality.port},'
            ' "return_results": true}]'
        )
        with whole(tmp_path, env={"HILUM_PEERS": peers}) as service, service.serving():
            assert dcmsend([film], service.port, calling="STRANGER").accepted == 0
            assert dcmsend([film], service.port, calling="MODALITY1").accepted == 1
            modality.wait_for_files(2)
            service.wait_until_idle(1)


@pytest.mark.slow
def test_a_destination_that_comes_up_late_gets_everything(tmp_path: Path) -> None:
    """While the PACS is down results wait; when it comes up each is delivered once."""
    films = make_films(tmp_path / "films", 3)
    port = free_port()
    to_pacs = destination(port, "LATE")
    with whole(tmp_path, destinations=[to_pacs]) as service, service.serving() as process:
        assert dcmsend(films, service.port).accepted == 3
        process.wait_for("Destination pacs: it cannot be reached")
        process.wait_for(lambda: service.count(Delivery) == 6, seconds=60)
        assert {each.state for each in service.deliveries()} == {"pending"}
        with storescp(tmp_path / "late", ae_title="LATE", port=port, options=("+xa",)) as pacs:
            pacs.wait_for_files(6)
            service.wait_until_idle(3)
            assert {each.state for each in service.deliveries()} == {"sent"}


@pytest.mark.slow
def test_the_whole_way_on_postgresql_with_roles_of_their_own(
    tmp_path: Path, storescp: StoreSCP, postgres_url: str
) -> None:
    """The same service on PostgreSQL."""
    films = make_films(tmp_path / "films", 9)
    to_pacs = destination(storescp.port, storescp.ae_title)
    with (
        whole(tmp_path, destinations=[to_pacs], database_url=postgres_url) as service,
        service.serving(),
    ):
        assert dcmsend(films, service.port).accepted == 9
        service.wait_until_idle(9)
        assert len(storescp.files()) == 18
        service.assert_no_orphans()


def test_the_whole_way_by_tls_with_certificates_on_both_sides(tmp_path: Path) -> None:
    """Films come in and results go out by TLS alone; each side shows a certificate."""
    trial = make_trial(tmp_path / "tls", ["127.0.0.1"], days=5, now=datetime.now(UTC))
    [film] = make_films(tmp_path / "films", 1, kinds=["normal"])
    pem = str(trial.client)
    client = ("+tls", pem, pem, "+cf", str(trial.ca))
    server = ("+tls", str(trial.server), str(trial.server), "+cf", str(trial.ca))
    port = free_port()
    listener = {
        "HILUM_LISTENER__TLS__ENABLED": "true",
        "HILUM_LISTENER__TLS__PORT": str(port),
        "HILUM_LISTENER__TLS__CERTIFICATE": str(trial.server),
        "HILUM_LISTENER__TLS__CA": str(trial.ca),
        "HILUM_LISTENER__TLS__CLIENT_CERTIFICATE": "required",
    }
    with storescp(
        tmp_path / "pacs", ae_title="PACS", options=("+xa", *server), echo_options=client
    ) as pacs:
        tls = {"enabled": True, "ca": str(trial.ca), "certificate": pem}
        to_pacs = destination(pacs.port, "PACS", tls=tls)
        with (
            whole(tmp_path, destinations=[to_pacs], env=listener) as service,
            service.serving(),
        ):
            called = [
                "--host",
                "127.0.0.1",
                "--port",
                str(port),
                "--tls",
                "--tls-ca",
                str(trial.ca),
            ]
            without = run_hilum(["send", str(film), *called], service.env, folder=tmp_path)
            assert without.returncode == 2
            assert "wants a certificate" in without.stderr
            with_one = ["send", str(film), *called, "--tls-certificate", pem]
            assert run_hilum(with_one, service.env, folder=tmp_path).returncode == 0
            pacs.wait_for_files(2)
            service.wait_until_idle(1)
