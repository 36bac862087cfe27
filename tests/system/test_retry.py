"""A film that brings its decoder down costs itself alone, and is read once the cause is gone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless
from sqlalchemy import func, select

from commands.history import everything
from db import history
from db.models import DeliveryState, Study, Task, TaskKind, TaskState
from inference.report.read import read_report
from tests.faulty_decoder import Fault, FaultyDecoder
from tests.peers import ROOT, StoreSCP, dcmsend, run_hilum, wait_until
from tests.system.whole import Whole, destination, make_films, whole

pytestmark = pytest.mark.long

ROWS: dict[Fault, int] = {"crash": 512, "hang": 520, "bomb": 528}
REASONS: dict[Fault, tuple[str, str]] = {
    "crash": ("quarantined", "crashed with signal 6 (SIGABRT)"),
    "hang": ("quarantined", "timed out after 20 s"),
    "bomb": ("refused", "needs more memory than is allowed"),
}


def _compressed(folder: Path, name: Fault) -> Path:
    """A JPEG 2000 film, one study of its own."""
    [path] = make_films(folder / name, 1, kinds=["normal"], size=ROWS[name])
    film = dcmread(path)
    film.PatientID = name
    film.StudyInstanceUID = f"{film.StudyInstanceUID}.{ROWS[name]}"
    film.compress(JPEG2000Lossless, generate_instance_uid=False)
    film.save_as(path)
    return path


def _beside(film: Path, folder: Path) -> Path:
    """A further film of the same study that no decoder stumbles over."""
    [path] = make_films(folder / "beside", 1, kinds=["abnormal"])
    other, first = dcmread(path), dcmread(film, stop_before_pixels=True)
    other.StudyInstanceUID, other.PatientID = first.StudyInstanceUID, first.PatientID
    other.save_as(path)
    return path


def _show(service: Whole, film: Path) -> dict[str, Any]:
    """What `hilum show --json` prints of a film's study."""
    uid = str(dcmread(film, stop_before_pixels=True).StudyInstanceUID)
    with service.database.read() as session:
        study = history.find(session, uid)
        assert study is not None
        return everything(session, study)


def _retry(service: Whole, film: Path) -> str:
    uid = str(dcmread(film, stop_before_pixels=True).StudyInstanceUID)
    done = run_hilum(["retry", uid], service.env, folder=service.folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _told(service: Whole, studies: int) -> bool:
    """Whether so many studies are reported, and all of it was sent."""
    with service.database.read() as session:
        states = list(session.scalars(select(Study.state)))
    sent = {each.state for each in service.deliveries()} == {DeliveryState.SENT}
    return states == ["reported"] * studies and sent


def _quarantined(service: Whole) -> int:
    with service.database.read() as session:
        query = select(func.count()).where(
            Task.kind == TaskKind.READ, Task.state == TaskState.QUARANTINED
        )
        return session.scalar(query) or 0


def _reports(pacs: StoreSCP, film: Path) -> list[Path]:
    """The Structured Reports of a film's study, earlier revisions first."""
    uid = dcmread(film, stop_before_pixels=True).StudyInstanceUID
    found = [
        (bool(came.get("PredecessorDocumentsSequence")), path)
        for path in pacs.files()
        if (came := dcmread(path, stop_before_pixels=True)).Modality == "SR"
        and uid == came.StudyInstanceUID
    ]
    return [path for _, path in sorted(found)]


def test_a_crash_a_hang_and_a_bomb_cost_one_image_each_and_are_read_when_the_decoder_is_well(
    tmp_path: Path, storescp: StoreSCP
) -> None:
    """Each is told with its true reason; `hilum retry` then makes a revision that reads it."""
    films = {fault: _compressed(tmp_path, fault) for fault in ROWS}
    decoder = FaultyDecoder(tmp_path / "library")
    decoder.fails({rows: fault for fault, rows in ROWS.items()})
    env = {
        "PYTHONPATH": f"{decoder.folder}:{ROOT}",
        "HILUM_WORKER__DECODE_TIMEOUT_SECONDS": "20",
        "HILUM_WORKER__MAX_ATTEMPTS": "2",
    }
    to_pacs = destination(storescp.port, storescp.ae_title)
    with (
        whole(tmp_path, destinations=[to_pacs], env=env, quiet_seconds=1) as service,
        service.serving(),
    ):
        sent = [*films.values(), _beside(films["crash"], tmp_path)]
        assert dcmsend(sent, service.port).accepted == 4
        wait_until(lambda: _told(service, 3), "three reports", seconds=180)
        assert _quarantined(service) == 2
        for fault, (state, words) in REASONS.items():
            study = _show(service, films[fault])
            image = study["images"][0]
            assert (image["state"], image["refusal_code"]) == (state, "undecodable")
            assert words in image["reason"]
            assert image["reason"].rstrip(".") in study["sentence"]
            [said] = _reports(storescp, films[fault])
            assert read_report(said).sentence == study["sentence"]
        partly = _show(service, films["crash"])
        assert [image["state"] for image in partly["images"]] == ["quarantined", "read"]
        assert partly["probability"] is not None

        decoder.fails({})
        for film in films.values():
            assert "Put back to work: 1 images" in _retry(service, film)
        service.wait_until_idle(3)
        for film in films.values():
            study = _show(service, film)
            assert {image["state"] for image in study["images"]} == {"read"}
            assert (study["revision"], study["state"]) == (2, "reported")
            assert "retried by hand" in [event["reason"] for event in study["timeline"]]
            _assert_revised(*_reports(storescp, film))


def _assert_revised(before: Path, after: Path) -> None:
    """The second report says that it takes the place of the first, and has a reading."""
    [named] = dcmread(after).PredecessorDocumentsSequence
    [series] = named.ReferencedSeriesSequence
    [reference] = series.ReferencedSOPSequence
    assert reference.ReferencedSOPInstanceUID == dcmread(before).SOPInstanceUID
    assert read_report(after).probability is not None
