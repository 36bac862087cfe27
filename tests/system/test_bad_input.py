"""Bad input costs one clear sentence and nothing else: the service lives on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit

from db.models import Instance, Study
from tests.peers import ChildProcess, dcmsend, run_hilum, storescu, wait_until
from tests.system.whole import Whole, make_films, whole


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A handful of good films."""
    return make_films(tmp_path_factory.mktemp("films"), 4)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Whole]:
    """A service without destinations."""
    with whole(tmp_path) as service, service.serving():
        yield service


def _still_works(service: Whole, film: Path) -> None:
    """A good film is read as ever."""
    studies = service.count(Study)
    assert dcmsend([film], service.port).accepted == 1
    service.wait_until_idle(studies + 1)


def test_truncated_pixels_are_kept_refused_and_reported(
    service: Whole, films: list[Path], tmp_path: Path
) -> None:
    """The listener takes them; the report says why nothing was read; the next film is read."""
    broken = dcmread(films[0])
    broken.PixelData = broken.PixelData[: len(broken.PixelData) // 3 // 2 * 2]
    path = tmp_path / "broken.dcm"
    broken.save_as(path)
    assert dcmsend([path], service.port).accepted == 1
    service.wait_until_idle(1)
    [image] = service.instances()
    assert image.state in ("refused", "quarantined")
    assert image.reason
    study = service.study()
    assert study.finding == "failed"
    assert image.reason.rstrip(".") in study.sentence
    _still_works(service, films[1])


def test_a_corrupt_jpeg_costs_one_image(service: Whole, films: list[Path], tmp_path: Path) -> None:
    """Garbage behind a JPEG transfer syntax ends in a failed report, not in a crash."""
    broken = dcmread(films[0])
    broken.PixelData = encapsulate([b"\xff\xd8\xff\xe0" + os.urandom(4000)])
    broken.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    broken["PixelData"].VR = "OB"
    broken.BitsAllocated = broken.BitsStored = 8
    broken.HighBit = 7
    path = tmp_path / "corrupt.dcm"
    broken.save_as(path)
    assert dcmsend([path], service.port).accepted == 1
    service.wait_until_idle(1)
    assert service.study().finding == "failed"
    _still_works(service, films[1])


def test_a_hand_is_not_read_as_a_chest(service: Whole, films: list[Path], tmp_path: Path) -> None:
    """What is not a chest is reported as not analysed."""
    [hand] = make_films(tmp_path / "hand", 1, kinds=["not_chest"])
    assert dcmsend([hand], service.port).accepted == 1
    service.wait_until_idle(1)
    assert service.instances()[0].refusal_code == "body_part"
    assert service.study().finding == "failed"


def test_a_web_page_named_dcm_is_refused_with_a_sentence(tmp_path: Path) -> None:
    """`hilum read` names the file and says what it is not; exit code 1."""
    page = tmp_path / "page.dcm"
    page.write_text("<!DOCTYPE html><html><body>Not found</body></html>")
    done = run_hilum(["read", page, "--json"], folder=tmp_path)
    assert done.returncode == 1
    assert '"eligible": false' in done.stdout
    assert "DICOM" in done.stdout
    assert done.stderr == ""


def test_an_unknown_ae_title_is_rejected(tmp_path: Path, films: list[Path]) -> None:
    """Only configured peers may send, and only to our own AE title."""
    peers = '[{"ae_title": "KNOWN", "address": "127.0.0.1"}]'
    with whole(tmp_path, env={"HILUM_PEERS": peers}) as service, service.serving():
        unknown = storescu([films[0]], service.port, calling="UNKNOWN")
        assert unknown.accepted == 0
        assert "Calling AE Title Not Recognized" in unknown.output
        wrong = storescu([films[0]], service.port, calling="KNOWN", called="OTHER")
        assert "Called AE Title Not Recognized" in wrong.output
        assert dcmsend([films[0]], service.port, calling="KNOWN").accepted == 1


def test_an_unsupported_sop_class_is_refused_in_negotiation(
    service: Whole, films: list[Path], tmp_path: Path
) -> None:
    """A CT slice finds no presentation context; films after it pass."""
    ct = dcmread(films[0])
    ct.SOPClassUID = ct.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    path = tmp_path / "ct.dcm"
    ct.save_as(path)
    assert storescu([path], service.port).accepted == 0
    assert service.count(Instance) == 0
    _still_works(service, films[1])


@pytest.mark.parametrize(
    ("toml", "sentence"),
    [
        ("[listener\nport = 1", "not valid TOML"),
        ("[listener]\nport = 99999999", "listener.port"),
        ("[listener]\nprot = 104", "listener.prot: no such key; did you mean port?"),
        ("[worker]\nbundle = '/nowhere'", "/nowhere"),
        ("database_url = 'sqlite:////nowhere/at/all.sqlite'", "database"),
        ("data_dir = '/proc/hilum'", "data_dir"),
    ],
)
def test_a_wrong_setting_stops_the_start_with_one_sentence(
    toml: str, sentence: str, tmp_path: Path
) -> None:
    """The start fails at once, names the key or the file, and shows no traceback."""
    file = tmp_path / "hilum.toml"
    file.write_text(f"data_dir = '{tmp_path / 'data'}'\n{toml}" if "data_dir" not in toml else toml)
    done = run_hilum(["serve"], {"HILUM_CONFIG": str(file)}, folder=tmp_path)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_named(tmp_path: Path, service: Whole) -> None:
    """A second listener on the same port ends with one sentence."""
    env = {**service.env, "HILUM_DATA_DIR": str(tmp_path / "other")}
    done = run_hilum(["listen"], env, folder=tmp_path)
    assert done.returncode == 2
    assert "port" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_full_disk_refuses_films_and_recovers(tmp_path: Path, films: list[Path]) -> None:
    """On a full disk nothing is acknowledged falsely; when there is room again all is as before."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(disk)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        env = {"HILUM_DATA_DIR": str(disk / "data")}
        with (
            whole(tmp_path, env=env, database_url=f"sqlite:///{tmp_path / 'db.sqlite'}") as service,
            service.serving() as serve,
        ):
            _fill_and_free(service, serve, disk, films)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def _fill_and_free(service: Whole, serve: ChildProcess, disk: Path, films: list[Path]) -> None:
    _still_works(service, films[0])
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        try:
            while True:
                file.write(b"\0" * 65536)
                file.flush()
        except OSError:
            pass
    refused = dcmsend([films[1]], service.port)
    assert refused.accepted == 0
    assert "OutOfResources" in refused.output.replace(" ", "")
    assert service.count(Instance) == 1
    ballast.unlink()
    wait_until(lambda: dcmsend([films[1]], service.port).accepted == 1, "a stored film", seconds=10)
    service.wait_until_idle(2)
    service.assert_no_orphans()
