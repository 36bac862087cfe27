"""The outside peers themselves: they start, echo, store a film and end without a trace."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import psutil
import psycopg
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid
from sqlalchemy import create_engine, text

from tests import peers

CR = "1.2.840.10008.5.1.4.1.1.1"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """A small synthetic CR image."""
    return make_film(tmp_path / "film.dcm")


def make_film(path: Path) -> Path:
    """Write a small synthetic CR image with UIDs of its own."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = CR
    dataset.SOPInstanceUID = generate_uid()
    dataset.StudyInstanceUID = generate_uid()
    dataset.SeriesInstanceUID = generate_uid()
    dataset.PatientID = "PEER-TEST"
    dataset.PatientName = "Test^Peer"
    dataset.Modality = "CR"
    dataset.Rows, dataset.Columns = 16, 16
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelRepresentation = 0
    dataset.PixelData = np.arange(256, dtype=np.uint8).tobytes()
    dataset.save_as(path, enforce_file_format=True)
    return path


def test_storescp_answers_takes_a_film_and_ends(film: Path, tmp_path: Path) -> None:
    with peers.storescp(tmp_path / "scp", ae_title="PACS") as server:
        assert peers.echoscu(server.port, called="PACS")
        sent = peers.dcmsend([film], server.port, called="PACS")
        assert (sent.returncode, sent.accepted) == (0, 1), sent.output
        (received,) = server.wait_for_files(1)
        pid = server.process.pid
    assert dcmread(received).SOPInstanceUID == dcmread(film).SOPInstanceUID
    assert not psutil.pid_exists(pid)


def test_both_senders_count_what_was_accepted(tmp_path: Path) -> None:
    films = [make_film(tmp_path / f"{number}.dcm") for number in range(3)]
    with peers.storescp(tmp_path / "scp") as server:
        assert peers.dcmsend(films, server.port).accepted == 3
        assert peers.storescu(films, server.port).accepted == 3
        assert len(server.files()) == 3


def test_storescp_keeps_every_copy_only_when_told(film: Path, tmp_path: Path) -> None:
    for keep, count in ((False, 1), (True, 2)):
        with peers.storescp(tmp_path / f"scp{keep}", keep_every_copy=keep) as server:
            for _ in range(2):
                assert peers.storescu([film], server.port).accepted == 1
            assert len(server.files()) == count


def test_storescp_takes_only_the_contexts_given(film: Path, tmp_path: Path) -> None:
    only = {SECONDARY_CAPTURE: [ImplicitVRLittleEndian]}
    with peers.storescp(tmp_path / "scp", contexts=only) as server:
        sent = peers.dcmsend([film], server.port)
        assert sent.accepted == 0
        assert server.files() == []
    with peers.storescp(tmp_path / "scp2", contexts={CR: [ExplicitVRLittleEndian]}) as server:
        assert peers.dcmsend([film], server.port).accepted == 1


def test_orthanc_stores_shows_and_sends_on(
    orthanc: peers.Orthanc, storescp: peers.StoreSCP, film: Path
) -> None:
    assert peers.echoscu(orthanc.port, called="ORTHANC")
    assert peers.dcmsend([film], orthanc.port, called="ORTHANC").accepted == 1
    (instance,) = orthanc.wait_for_instances(1)
    assert len(orthanc.studies()) == 1
    assert orthanc.tags(instance)["PatientID"] == "PEER-TEST"
    assert orthanc.find("Instance", {"PatientID": "PEER-TEST"}) == [instance]
    assert orthanc.find("Instance", {"PatientID": "SOMEONE-ELSE"}) == []
    assert orthanc.file(instance)[128:132] == b"DICM"
    orthanc.send([instance], ae_title=storescp.ae_title, port=storescp.port)
    assert len(storescp.wait_for_files(1)) == 1


def test_orthanc_refuses_the_transfer_syntaxes_it_is_told_to(film: Path, tmp_path: Path) -> None:
    with peers.orthanc(tmp_path / "pacs", transfer_syntaxes=[ExplicitVRLittleEndian]) as server:
        assert peers.storescu([film], server.port, options=("-xi",)).accepted == 0
        assert server.instances() == []
        assert peers.storescu([film], server.port, options=("-xe",)).accepted == 1


def test_postgres_gives_each_test_its_own_database_and_survives_a_crash(
    postgres_server: peers.Postgres,
) -> None:
    urls = [postgres_server.database(f"peer_test_{name}_{os.getpid()}") for name in "ab"]
    engines = [create_engine(url, pool_pre_ping=True) for url in urls]
    with engines[0].begin() as connection:
        connection.execute(text("CREATE TABLE kept (n int)"))
        connection.execute(text("INSERT INTO kept VALUES (7)"))
    postgres_server.stop_at_once()
    engines[0].dispose()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(urls[0].replace("+psycopg", ""))
    postgres_server.start()
    with engines[0].connect() as connection:
        assert connection.scalar(text("SELECT n FROM kept")) == 7
    with engines[1].connect() as connection:
        assert connection.scalar(text("SELECT to_regclass('kept')")) is None
    for engine in engines:
        engine.dispose()


def test_a_process_that_dies_is_reported_with_its_log(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('the reason'); raise SystemExit(3)"]
    process = peers.ChildProcess(command, log=tmp_path / "log")
    with pytest.raises(peers.ProcessFailedError, match=r"(?s)ended before.*the reason"):
        process.wait_for("ready")
    with pytest.raises(peers.ProcessFailedError, match=r"(?s)by itself with status 3.*the reason"):
        process.stop()


def test_a_process_that_ignores_the_end_is_killed_and_reported(tmp_path: Path) -> None:
    script = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True)"
    command = [sys.executable, "-c", f"{script}; time.sleep(60)"]
    process = peers.ChildProcess(command, log=tmp_path / "log")
    process.wait_for("up")
    with pytest.raises(peers.ProcessFailedError, match="timed out"):
        process.stop(seconds=0.3)
    assert not psutil.pid_exists(process.pid)


def test_children_left_behind_are_killed_and_reported(tmp_path: Path) -> None:
    script = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(15, lambda *_: sys.exit(0))\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        "print('up', child.pid, flush=True)\n"
        "time.sleep(60)"
    )
    process = peers.ChildProcess([sys.executable, "-c", script], log=tmp_path / "log")
    child = int(str(process.wait_for("up")).split()[1])
    assert [found.pid for found in process.children()] == [child]
    with pytest.raises(peers.ProcessFailedError, match=f"left behind: .*{child} sleep"):
        process.stop(seconds=0.5)
    assert process.children() == []
