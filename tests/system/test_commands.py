"""The commands as a person types them, on a service that has read a few films."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from sqlalchemy import select

from db.models import Instance, StoredReading
from tests.peers import StoreSCP, dcmsend, free_port, hilum_process, run_hilum, storescp
from tests.system.whole import Whole, destination, make_films, whole


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Whole, StoreSCP, list[Path]]]:
    """A running service that has read three films and refused a lateral one."""
    folder = tmp_path_factory.mktemp("lived")
    films = make_films(folder / "films", 4, kinds=["opacity", "normal", "abnormal", "lateral"])
    with storescp(folder / "pacs", ae_title="PACS", options=("+xa",)) as pacs:
        to_pacs = destination(pacs.port, "PACS")
        with whole(folder, destinations=[to_pacs]) as service, service.serving():
            assert dcmsend(films, service.port, calling="MODALITY1").accepted == 4
            service.wait_until_idle(4)
            yield service, pacs, films


def _json(service: Whole, *options: str) -> list[dict[str, object]]:
    done = run_hilum(["history", "--json", *options], service.env, folder=service.folder)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_history_lists_every_study_with_its_finding_and_deliveries(
    lived: tuple[Whole, StoreSCP, list[Path]],
) -> None:
    service, _, films = lived
    rows = _json(service)
    assert len(rows) == 4
    by_patient = {row["patient_id"]: row for row in rows}
    for film in films:
        row = by_patient[str(dcmread(film).PatientID)]
        assert row["state"] == "reported"
        assert row["study_instance_uid"] == str(dcmread(film).StudyInstanceUID)
        assert row["source"] == "MODALITY1"
        sent = 1 if row["finding"] == "failed" else 2
        assert row["deliveries"] == {"pacs": {"sent": sent, "pending": 0, "rejected": 0}}
    assert sum(row["finding"] == "failed" for row in rows) == 1


def test_history_filters(lived: tuple[Whole, StoreSCP, list[Path]]) -> None:
    service, _, films = lived
    film = dcmread(films[0])
    [row] = _json(service, "--patient-id", str(film.PatientID))
    assert row["patient_id"] == film.PatientID
    assert len(_json(service, "--finding", "failed")) == 1
    assert len(_json(service, "--source", "MODALITY1")) == 4
    assert _json(service, "--source", "NOBODY") == []
    assert len(_json(service, "--probability", "0-1")) == 3
    assert len(_json(service, "--state", "reported", "--limit", "2")) == 2
    assert _json(service, "--until", "2020-01-01") == []
    assert len(_json(service, "--study-date", str(film.StudyDate))) == 4
    accession = str(film.get("AccessionNumber", ""))
    if accession:
        assert len(_json(service, "--accession", accession)) == 1
    wrong = run_hilum(["history", "--state", "lost"], service.env, folder=service.folder)
    assert wrong.returncode == 2
    assert "lost" in wrong.stderr


def test_history_prints_a_table_and_csv(lived: tuple[Whole, StoreSCP, list[Path]]) -> None:
    service, _, _ = lived
    env = {**service.env, "COLUMNS": "200"}
    table = run_hilum(["history"], env, folder=service.folder).stdout
    assert table.count("MODALITY1") == 4
    text = run_hilum(["history", "--csv"], service.env, folder=service.folder).stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    assert {row["id"] for row in rows} == {str(row["id"]) for row in _json(service)}


def test_show_tells_everything_of_one_study(lived: tuple[Whole, StoreSCP, list[Path]]) -> None:
    service, _, films = lived
    uid = str(dcmread(films[1]).StudyInstanceUID)
    done = run_hilum(["show", uid, "--json"], service.env, folder=service.folder)
    study = json.loads(done.stdout)
    states = [event["state"] for event in study["timeline"]]
    assert states[:2] == ["open", "received"]
    assert {"read", "pending", "reported", "sent"} <= set(states)
    [image] = study["images"]
    assert image["readings"][0]["pneumonia"] == pytest.approx(study["probability"])
    people = run_hilum(["show", str(study["id"])], service.env, folder=service.folder).stdout
    assert "not verified by a physician" in " ".join(people.split())
    nobody = run_hilum(["show", "1.2.3"], service.env, folder=service.folder)
    assert nobody.returncode == 1
    assert "no study" in nobody.stderr


def test_retry_reads_a_refused_image_again_and_resends(
    lived: tuple[Whole, StoreSCP, list[Path]],
) -> None:
    service, pacs, films = lived
    lateral = str(dcmread(films[3]).StudyInstanceUID)
    done = run_hilum(["retry", lateral], service.env, folder=service.folder)
    assert "1 images" in done.stdout
    service.wait_until_idle(4)
    [row] = [row for row in _json(service) if row["study_instance_uid"] == lateral]
    assert (row["finding"], row["revision"]) == ("failed", 2)

    normal = str(dcmread(films[1]).StudyInstanceUID)
    nothing = run_hilum(["retry", normal], service.env, folder=service.folder)
    assert "Nothing" in nothing.stdout
    before = len(pacs.process.log().splitlines())
    run_hilum(["retry", normal, "--resend"], service.env, folder=service.folder)
    service.wait_until_idle(4)
    assert len(pacs.process.log().splitlines()) > before
    assert len({dcmread(path).SOPInstanceUID for path in pacs.files()}) == len(pacs.files())


def test_echo_and_send(lived: tuple[Whole, StoreSCP, list[Path]], tmp_path: Path) -> None:
    service, _, films = lived
    ours = run_hilum(["echo"], service.env, folder=tmp_path)
    assert (ours.returncode, "answers" in ours.stdout) == (0, True)
    gone = run_hilum(["echo", "--port", str(free_port())], service.env, folder=tmp_path)
    assert gone.returncode == 1
    assert "cannot be reached" in gone.stderr
    page = tmp_path / "folder" / "page.dcm"
    page.parent.mkdir()
    page.write_text("<html>")
    (tmp_path / "folder" / "film.dcm").write_bytes(films[0].read_bytes())
    sent = run_hilum(["send", page.parent], service.env, folder=tmp_path)
    assert sent.returncode == 1
    assert "1 of 2 files stored" in sent.stdout
    assert "not a DICOM file" in sent.stdout
    service.wait_until_idle(4)


def test_doctor_finds_what_is_wrong(
    lived: tuple[Whole, StoreSCP, list[Path]], tmp_path: Path
) -> None:
    service, _, _ = lived
    good = run_hilum(["doctor"], {**service.env, "COLUMNS": "300"}, folder=tmp_path)
    assert good.returncode == 0, good.stdout
    assert "golden output met" in good.stdout
    nobody = destination(free_port(), "NOBODY", "nobody")
    env = {**service.env, "COLUMNS": "300", "HILUM_DESTINATIONS": json.dumps([nobody])}
    bad = run_hilum(["doctor"], env, folder=tmp_path)
    assert bad.returncode == 1
    assert "NOBODY" in bad.stdout
    assert "cannot be reached" in bad.stdout


def test_a_destination_that_would_get_nothing_is_named_at_start_and_by_the_doctor(
    tmp_path: Path,
) -> None:
    lonely = {**destination(free_port(), "NOBODY", "nobody"), "sources": ["TYPO"]}
    env = {
        "HILUM_DATA_DIR": str(tmp_path / "data"),
        "HILUM_LISTENER__PORT": str(free_port()),
        "HILUM_DESTINATIONS": json.dumps([lonely]),
        "HILUM_PEERS": json.dumps([{"ae_title": "MODALITY"}]),
        "COLUMNS": "300",
    }
    said = "destination nobody gets nothing: its sources (TYPO) are not among the configured peers"
    assert said in run_hilum(["doctor"], env, folder=tmp_path).stdout
    with hilum_process(["deliver"], env, folder=tmp_path) as deliver:
        deliver.wait_for(said)


def test_config_says_where_each_value_comes_from_and_hides_secrets(tmp_path: Path) -> None:
    file = tmp_path / "hilum.toml"
    file.write_text('database_url = "postgresql+psycopg://hilum:hush@db/hilum"\n')
    env = {"HILUM_CONFIG": str(file), "HILUM_LISTENER__PORT": "11113"}
    command = ["--set", "study_quiet_seconds=7", "config"]
    lines = run_hilum(command, env, folder=tmp_path).stdout.splitlines()
    found = {line.split()[0]: line for line in lines}
    assert "hush" not in "\n".join(lines)
    assert "***" in found["database_url"]
    assert str(file) in found["database_url"]
    assert "(HILUM_LISTENER__PORT)" in found["listener.port"]
    assert "(command line)" in found["study_quiet_seconds"]
    assert "(default)" in found["worker.batch_size"]


def test_read_prints_one_object_a_film(
    lived: tuple[Whole, StoreSCP, list[Path]], tmp_path: Path
) -> None:
    service, _, films = lived
    done = run_hilum(["read", films[0].parent, "--json"], folder=tmp_path)
    assert done.returncode == 1  # the lateral one
    rows = {Path(row["path"]).name: row for row in map(json.loads, done.stdout.splitlines())}
    assert set(rows) == {film.name for film in films}
    by_uid = {row["sop_instance_uid"]: row for row in rows.values()}
    assert set(by_uid) == {instance.sop_instance_uid for instance in service.instances()}
    with service.database.read() as session:
        readings = session.execute(select(Instance.sop_instance_uid, StoredReading).join(Instance))
        for uid, stored in readings:
            assert by_uid[uid]["pneumonia"] == pytest.approx(stored.pneumonia, abs=1e-3)
            assert sum(by_uid[uid]["probabilities"].values()) == pytest.approx(1)
            assert by_uid[uid]["bundle"] == stored.bundle
    refused = [row for row in rows.values() if not row["eligible"]]
    assert ["lateral" in row["reason"] for row in refused] == [True]
    assert run_hilum(["read", films[0], "--json"], folder=tmp_path).returncode == 0
    assert run_hilum(["read", "nowhere.dcm"], folder=tmp_path).returncode == 2


@pytest.mark.slow
def test_demo_shows_what_came_back(tmp_path: Path) -> None:
    port = str(free_port())
    env = {"HILUM_LISTENER__PORT": port, "COLUMNS": "200"}
    done = run_hilum(["demo", "--once"], env, folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    told = " ".join(done.stdout.split())  # a long sentence is wrapped
    assert told.count("not verified by a physician") >= 5
    pictures = list((tmp_path / "var" / "demo" / "overlays").glob("*.png"))
    assert len(pictures) == 4
    assert all(str(picture) in done.stdout for picture in pictures)
    assert f"--port {port}" in done.stdout


def test_demo_says_first_that_its_port_is_taken(
    lived: tuple[Whole, StoreSCP, list[Path]], tmp_path: Path
) -> None:
    service, _, _ = lived
    done = run_hilum(["demo"], {"HILUM_LISTENER__PORT": str(service.port)}, folder=tmp_path)
    assert done.returncode == 2
    assert f"port {service.port} is in use" in done.stderr.splitlines()[0]
