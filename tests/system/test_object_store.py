"""Films and results in an S3 bucket (moto's server): the same promises as with a folder."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from pydicom import dcmread
from sqlalchemy import select

from db.models import Instance, Task
from tests.peers import StoreSCP, dcmsend, hilum_process, run_hilum, wait_until
from tests.peers.bucket import BUCKET, PREFIX, S3Server, environment, s3_server
from tests.peers.process import free_port
from tests.system.whole import Whole, destination, make_films, whole


def _rows(service: Whole) -> dict[str, str]:
    """Map the path of every film and result to its digest."""
    return {each.path: each.file_sha256 for each in [*service.instances(), *service.results()]}


def _assert_all_in_the_bucket(service: Whole, server: S3Server) -> None:
    """The bucket holds what the rows name and nothing else, the data folder nothing of it."""
    wait_until(lambda: not service.files(), "an empty data folder", seconds=60)
    objects = server.objects()
    assert {name: hashlib.sha256(data).hexdigest() for name, data in objects.items()} == (
        _rows(service)
    )
    assert not list(service.data.glob("incoming/*/*.part"))
    assert not list(service.data.glob("near/*/*/**/*.dcm"))


@pytest.mark.slow
def test_a_film_comes_in_and_its_report_goes_out_by_way_of_a_bucket(
    tmp_path: Path, storescp: StoreSCP
) -> None:
    """Nothing of films and results stays in the data folder."""
    films = make_films(tmp_path / "films", 3)
    to_pacs = destination(storescp.port, storescp.ae_title)
    with (
        s3_server(tmp_path / "s3") as server,
        whole(tmp_path, destinations=[to_pacs], env=server.env) as service,
    ):
        with service.serving():
            assert dcmsend(films, service.port).accepted == 3
            came = [dcmread(path) for path in storescp.wait_for_files(6)]
            service.wait_until_idle(3)
            _assert_all_in_the_bucket(service, server)
        assert sum(each.Modality == "SR" for each in came) == 3
        assert not any((service.data / "near").iterdir())


@pytest.mark.slow
def test_films_are_taken_while_the_store_is_away_and_go_there_later(
    tmp_path: Path, storescp: StoreSCP
) -> None:
    """They are read and reported meanwhile too, by the machine that has them."""
    films = make_films(tmp_path / "films", 4)
    to_pacs = destination(storescp.port, storescp.ae_title)
    port = free_port()
    env = environment(port)
    with whole(tmp_path, destinations=[to_pacs], env=env) as service, service.serving():
        assert dcmsend(films, service.port).accepted == 4
        storescp.wait_for_files(8)
        service.wait_until_idle(4)
        service.assert_no_orphans()
        assert len(service.files()) == 12
        with s3_server(tmp_path / "s3", port) as server:
            _assert_all_in_the_bucket(service, server)


@pytest.mark.long
def test_a_store_that_stalls_delays_films_and_loses_none(
    tmp_path: Path, storescp: StoreSCP
) -> None:
    films = make_films(tmp_path / "films", 4)
    to_pacs = destination(storescp.port, storescp.ae_title)
    with (
        s3_server(tmp_path / "s3") as server,
        whole(tmp_path, destinations=[to_pacs], env=server.env) as service,
        service.serving(),
    ):
        with server.stalled():
            assert dcmsend(films, service.port).accepted == 4
            assert len(service.instances()) == 4
        service.wait_until_idle(4)
        _assert_all_in_the_bucket(service, server)
        assert len(storescp.files()) == 8


@pytest.mark.long
def test_a_patient_is_erased_from_the_bucket_too(tmp_path: Path, storescp: StoreSCP) -> None:
    film, other = make_films(tmp_path / "films", 2)
    patient = str(dcmread(film).PatientID)
    to_pacs = destination(storescp.port, storescp.ae_title)
    with (
        s3_server(tmp_path / "s3") as server,
        whole(tmp_path, destinations=[to_pacs], env=server.env) as service,
        service.serving(),
    ):
        assert dcmsend([film, other], service.port).accepted == 2
        service.wait_until_idle(2)
        _assert_all_in_the_bucket(service, server)
        command = ["forget", "--patient-id", patient, "--yes"]
        with server.stalled():
            env = {**service.env, "HILUM_STORAGE__TIMEOUT_SECONDS": "1"}
            refused = run_hilum(command, env, folder=tmp_path)
        assert refused.returncode != 0
        assert "object store" in refused.stderr
        assert len(service.instances()) == 2
        done = run_hilum(command, service.env, folder=tmp_path)
        assert done.returncode == 0, done.stderr
        assert len(service.instances()) == 1
        _assert_all_in_the_bucket(service, server)


def test_doctor_tells_what_is_wrong_with_the_bucket(tmp_path: Path) -> None:
    with s3_server(tmp_path / "s3") as server, whole(tmp_path, env=server.env) as service:
        good = run_hilum(["doctor"], service.env, folder=tmp_path)
        assert "takes, gives back and deletes" in good.stdout
        assert server.objects() == {}
        wrong = {**service.env, "HILUM_STORAGE_URL": "s3://none-of-this-name"}
        bad = run_hilum(["doctor"], wrong, folder=tmp_path)
        assert bad.returncode == 1
        assert "the bucket does not exist" in bad.stdout


@pytest.mark.long
def test_kill_9_of_the_service_while_films_come_leaves_no_orphan_in_the_bucket(
    tmp_path: Path, storescp: StoreSCP
) -> None:
    films = make_films(tmp_path / "films", 30, size=256)
    to_pacs = destination(storescp.port, storescp.ae_title)
    with (
        s3_server(tmp_path / "s3") as server,
        whole(tmp_path, destinations=[to_pacs], env=server.env) as service,
    ):
        for kill in range(1, 4):
            with service.serving() as serve, ThreadPoolExecutor(1) as sender:
                sending = sender.submit(dcmsend, films, service.port)
                goal = min(8 * kill, 28)
                wait_until(lambda goal=goal: service.count(Instance) >= goal, f"{goal} films")
                children = serve.children()
                serve.kill()
                psutil.wait_procs(children, timeout=20)
                sending.result()
        with service.serving():
            wait_until(
                lambda: dcmsend(films, service.port).accepted == len(films), "all films", seconds=90
            )
            service.wait_until_idle(len(films))
            wait_until(lambda: set(server.names()) == set(_rows(service)), "no more", seconds=120)
            _assert_all_in_the_bucket(service, server)
        sent = [dcmread(path, stop_before_pixels=True) for path in storescp.files()]
        assert sum(each.Modality == "SR" for each in sent) == len(films)


@pytest.mark.long
def test_a_film_that_waits_on_another_machine_is_read_once_it_has_gone_up(
    tmp_path: Path, storescp: StoreSCP
) -> None:
    """Until then its task is tried again, and none of that counts as an attempt."""
    [film] = make_films(tmp_path / "films", 1)
    to_pacs = destination(storescp.port, storescp.ae_title)
    with (
        s3_server(tmp_path / "s3") as server,
        whole(tmp_path, destinations=[to_pacs], env=server.env) as service,
    ):
        cut_off = {**service.env, **environment(free_port())}
        with hilum_process(["listen"], cut_off, folder=tmp_path) as listener:
            listener.wait_for(service.answers, seconds=60)
            assert dcmsend([film], service.port).accepted == 1
        database = {"HILUM_DATABASE_URL": f"sqlite:///{service.data / 'hilum.sqlite'}"}
        there = {**service.env, **database, "HILUM_DATA_DIR": str(tmp_path / "elsewhere")}
        with (
            hilum_process(["work"], there, folder=tmp_path) as worker,
            hilum_process(["deliver"], there, folder=tmp_path),
        ):
            worker.wait_for("may still wait on the machine that it came to", seconds=60)
            [task] = wait_until(lambda: _waiting(service), "a task that waits")
            assert (task.kind, task.state, task.attempts) == ("read", "ready", 0)
            with hilum_process(["listen"], service.env, folder=tmp_path):
                storescp.wait_for_files(2)
                service.wait_until_idle(1)
                _assert_all_in_the_bucket(service, server)


def _waiting(service: Whole) -> list[Task]:
    with service.database.read() as session:
        return [task for task in session.scalars(select(Task)) if task.state == "ready"]


@pytest.mark.slow
def test_a_data_folder_goes_into_a_bucket_and_comes_back(tmp_path: Path) -> None:
    films = make_films(tmp_path / "films", 2, size=256)
    with s3_server(tmp_path / "s3") as server, whole(tmp_path) as service:
        with hilum_process(["listen"], service.env, folder=tmp_path) as listener:
            listener.wait_for(service.answers, seconds=60)
            assert dcmsend(films, service.port).accepted == 2
        service.assert_no_orphans()
        in_bucket = {**service.env, **server.env}
        with hilum_process(["listen"], in_bucket, folder=tmp_path):
            _assert_all_in_the_bucket(service, server)
        back = run_hilum(["storage", "back"], in_bucket, folder=tmp_path)
        assert back.returncode == 0, back.stderr
        assert "2 of 2 are in" in " ".join(back.stdout.split())
        service.assert_no_orphans()
        for each in service.instances():
            data = (service.data / each.path).read_bytes()
            assert hashlib.sha256(data).hexdigest() == each.file_sha256

        lost = service.instances()[0].path
        server.client.delete_object(Bucket=BUCKET, Key=f"{PREFIX}/{lost}")
        (service.data / lost).unlink()
        again = run_hilum(["storage", "back"], in_bucket, folder=tmp_path)
        assert again.returncode == 1
        assert "BUT 1 files are not in the bucket" in " ".join(again.stdout.split())
