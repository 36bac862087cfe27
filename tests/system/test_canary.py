"""No name, id, UID, accession number or token comes out by a log, a metric or a process list."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest
from pydicom import Dataset, dcmread
from sqlalchemy import select

from db.models import Study
from tests.peers import ChildProcess, dcmsend, free_port, run_hilum, wait_until
from tests.peers.as_is import Encoded, encoded, store_as_is
from tests.scp_service.destinations.web_servers import Asked, Told, WebServer
from tests.scp_service.scripted import Destination, Received
from tests.system.whole import Whole, destination, make_films, whole

NAME, PATIENT, ACCESSION = "CANARYNAME^QUETZAL", "CANARYID77141", "CANARYACC88"
TOKEN = "canarytoken4711"
ROOT = "1.2.826.0.1.3680043.8.498.7714177141"
ODD_AGE = b"CANA"
"""A value that no age (AS) may have: pydicom quotes it in a warning."""
TEXTS = ("CANA", "QUETZAL", "canarytoken", ROOT)
SECRET = f"whsec_{base64.b64encode(bytes(24)).decode()}"


@pytest.mark.long
@pytest.mark.parametrize("form", ["json", pytest.param("text", marks=pytest.mark.faults)])
def test_nothing_of_a_patient_is_told_whatever_fails(tmp_path: Path, form: str) -> None:
    with ExitStack() as stack:
        refusing = stack.enter_context(Destination(answer=refuse))
        hook = stack.enter_context(WebServer(reject))
        destinations = [
            destination(refusing.port, refusing.ae_title, "refusing", objects=["sr"]),
            destination(free_port(), "NOBODY", "gone"),
            {"name": "hook", "kind": "webhook", "url": hook.url, "secret": SECRET, "token": TOKEN},
        ]
        env = {
            "HILUM_LOG_LEVEL": "debug",
            "HILUM_LOG_FORMAT": form,
            "HILUM_METRICS__ENABLED": "true",
            "HILUM_METRICS__PORT": str(free_port()),
            "HILUM_DICOMWEB__ENABLED": "true",
            "HILUM_DICOMWEB__PORT": str(free_port()),
            "HILUM_DICOMWEB__TOKEN": TOKEN,
        }
        service = stack.enter_context(whole(tmp_path, destinations=destinations, env=env))
        process = stack.enter_context(service.serving())
        films = list(canaries(tmp_path))
        provoke(service, films)
        wait_until(lambda: settled(service, len(films)), "settled studies", seconds=120)
        wait_until(lambda: len(refusing.received) and len(hook.asked), "refused deliveries")
        told = {
            "log": process.log(),
            "metrics": fetched(service, "HILUM_METRICS__PORT", "/metrics"),
            "health": fetched(service, "HILUM_METRICS__PORT", "/health/ready"),
            "processes": "\n".join(command_lines(process)),
        }
    told["log"] += process.log()
    assert_nothing_told(told)
    if form == "json":
        assert all(json.loads(line)["message"] for line in told["log"].splitlines())


def test_one_film_names_its_patient_in_files_database_and_trail_alone(tmp_path: Path) -> None:
    """Unlike the test above, all goes well: what is logged and counted is what is logged daily."""
    env = {
        "HILUM_LOG_LEVEL": "debug",
        "HILUM_LOG_FORMAT": "json",
        "HILUM_METRICS__ENABLED": "true",
        "HILUM_METRICS__PORT": str(free_port()),
    }
    (film,) = list(canaries(tmp_path))[:1]
    with ExitStack() as stack:
        pacs = stack.enter_context(Destination())
        to = [destination(pacs.port, pacs.ae_title)]
        service = stack.enter_context(whole(tmp_path, destinations=to, env=env))
        process = stack.enter_context(service.serving())
        assert dcmsend([film], service.port, calling="CANASENDER").accepted == 1
        wait_until(lambda: len(pacs.received) == 2, "report and overlay", seconds=120)
        service.wait_until_idle(1)
        told = {
            "metrics": fetched(service, "HILUM_METRICS__PORT", "/metrics"),
            "health": fetched(service, "HILUM_METRICS__PORT", "/health/ready"),
            "processes": "\n".join(command_lines(process)),
        }
        forget = ["forget", "--patient-id", PATIENT, "--yes"]
        erased = run_hilum(forget, service.env, folder=tmp_path)
        assert erased.returncode == 0, erased.stderr
        told["erasure"] = erased.stdout + erased.stderr
    told["log"] = process.log()
    trail = next((service.data / "audit").glob("*.audit")).read_text()
    told["record of the erasure"] = next(x for x in trail.splitlines() if '"110110"' in x)
    assert_nothing_told(told)
    assert all(json.loads(line)["message"] for line in told["log"].splitlines())
    assert NAME in trail, "the standard demands it there"
    assert any(NAME.encode() in each.encoded for each in pacs.received)


def assert_nothing_told(told: dict[str, str]) -> None:
    """None of the texts is told anywhere, and what goes well is told of."""
    found = [
        f"{where}: {line}"
        for where, text in told.items()
        for line in text.splitlines()
        if any(each in line for each in TEXTS)
    ]
    assert found == []
    assert "A film was read." in told["log"], "nothing was logged of what went well"
    assert "hilum_films_total" in told["metrics"]


def canaries(folder: Path) -> Iterator[Path]:
    """Make films that carry the texts: one that is read, one that is not, one that is broken."""
    for number, path in enumerate(make_films(folder / "films", 3, kinds=("opacity", "lateral"))):
        film = dcmread(path)
        film.PatientName, film.PatientID = NAME, PATIENT
        film.AccessionNumber = f"{ACCESSION}{number}"
        film.StudyInstanceUID = f"{ROOT}.1.{number}"
        film.SeriesInstanceUID = f"{ROOT}.2.{number}"
        film.SOPInstanceUID = film.file_meta.MediaStorageSOPInstanceUID = f"{ROOT}.3.{number}"
        film.StudyDescription = film.StationName = "CANARYDESCRIPTION"
        if number == 2:
            film.PixelData = b"CANARY"
        film.save_as(path)
        path.write_bytes(path.read_bytes().replace(b"050Y", ODD_AGE))
        yield path


def provoke(service: Whole, films: list[Path]) -> None:
    """Send films well and in every wrong way that is cheap."""
    assert dcmsend(films, service.port).accepted == len(films)
    assert dcmsend(films[:1], service.port, called="CANARYCALLED").returncode != 0
    film = encoded(films[0])
    for data, uid in (
        (film.data[:200], film.sop_instance_uid),
        (film.data, f"{ROOT}.9"),
        (film.data, f"{ROOT}.CANARY"),
        (film.data.replace(b"QUETZAL", b"QUETZEL"), film.sop_instance_uid),
    ):
        with suppress(Exception):  # whether it is taken is not the question here
            wrong = Encoded(film.sop_class_uid, uid, film.transfer_syntax_uid, data)
            store_as_is(wrong, service.port)
    for token, path in (("canarytoken-wrong", ""), (TOKEN, f"/{ROOT}.8"), (TOKEN, "/CANARY")):
        with suppress(urllib.error.HTTPError):
            posted(service, films[0].read_bytes(), token, path)
    with suppress(urllib.error.HTTPError):
        posted(service, b"CANARY" * 100, TOKEN, "")


def settled(service: Whole, least: int) -> bool:
    """Say whether at least so many studies have come, and all are reported."""
    with service.database.read() as session:
        states = list(session.scalars(select(Study.state)))
    return len(states) >= least and all(state == "reported" for state in states)


def posted(service: Whole, body: bytes, token: str, path: str) -> None:
    """Send a file by STOW-RS."""
    port = service.env["HILUM_DICOMWEB__PORT"]
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/dicomweb/studies{path}",
        data=body,
        headers={"Content-Type": "application/dicom", "Authorization": f"Bearer {token}"},
    )
    wait_until(lambda: reachable(int(port)), "STOW-RS")
    with urllib.request.urlopen(request):
        pass


def reachable(port: int) -> bool:
    """Say whether somebody answers at a port."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health"):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def refuse(_: Received) -> Dataset:
    """Refuse an object, and say whose it is."""
    answer = Dataset()
    answer.Status, answer.ErrorComment = 0xC000, NAME
    return answer


def reject(_: Asked) -> Told:
    """Refuse a document, and say whose it is."""
    return Told(422, NAME.encode(), {"X-Reason": PATIENT})


def fetched(service: Whole, key: str, path: str) -> str:
    """Read what the service tells at a port of its own."""
    with urllib.request.urlopen(f"http://127.0.0.1:{service.env[key]}{path}") as answer:
        return str(answer.read(), "utf-8")


def command_lines(process: ChildProcess) -> Iterator[str]:
    """Yield the command line and title of every process of the service."""
    for each in [psutil.Process(process.pid), *process.children()]:
        with suppress(psutil.NoSuchProcess):
            yield f"{each.name()} {' '.join(each.cmdline())}"
