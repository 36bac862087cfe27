"""A patient is erased at the command line: no byte is left but where the law keeps it."""

from __future__ import annotations

from pathlib import Path

from pydicom import dcmread

from db.models import Study
from tests.peers import dcmsend, hilum_process, run_hilum
from tests.system.whole import make_films, whole

PATIENT, NAME = "CANARY-4711", "CANARY^NAME"


def _holds(folder: Path, text: bytes) -> list[str]:
    """Name the files that hold a text, but for the audit trail."""
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and "audit" not in path.parts and text in path.read_bytes()
    ]


def test_a_patient_is_erased_after_a_dry_run(tmp_path: Path) -> None:
    films = make_films(tmp_path / "films", 3, size=256)
    film = dcmread(films[1])
    film.PatientID, film.PatientName = PATIENT, NAME
    film.save_as(films[1], enforce_file_format=True)
    forget = ["forget", "--patient-id", PATIENT]
    with whole(tmp_path) as service:
        with hilum_process(["listen"], service.env, folder=tmp_path) as process:
            process.wait_for(service.answers, seconds=60)
            assert dcmsend(films, service.port).accepted == 3
            assert len(_holds(service.data, b"CANARY")) == 2  # the film and the database

            dry = run_hilum([*forget], service.env, folder=tmp_path)
            assert (dry.returncode, service.count(Study)) == (0, 3)
            assert "1 studies with 1 films" in dry.stdout
            assert "Nothing was erased" in dry.stdout

            kept = run_hilum([*forget, "--yes"], service.env, folder=tmp_path)
            assert (kept.returncode, service.count(Study)) == (1, 3)

            done = run_hilum([*forget, "--even-unsent", "--yes"], service.env, folder=tmp_path)
            assert done.returncode == 0, done.stderr
            assert "1 studies of this patient were erased." in done.stdout
            assert "What remains" in done.stdout
            assert service.count(Study) == 2
            assert _holds(service.data, b"CANARY") == []
            service.assert_no_orphans()
        (day,) = (service.data / "audit").glob("*.audit")
        erased = [line for line in day.read_text().splitlines() if '"110110"' in line]
        assert len(erased) == 1
        assert "CANARY" not in erased[0]
        assert "CANARY" not in process.log()


def test_a_patient_of_several_ids_is_erased_at_once_and_like_ids_are_told(tmp_path: Path) -> None:
    films = make_films(tmp_path / "films", 3, size=256)
    ids = [PATIENT, "MERGED-8", "canary-4711"]
    for path, patient_id in zip(films, ids, strict=True):
        film = dcmread(path)
        film.PatientID, film.PatientName = patient_id, NAME
        film.save_as(path, enforce_file_format=True)
    forget = ["forget", *(f"--patient-id={each}" for each in ids[:2]), "--even-unsent"]
    with whole(tmp_path) as service:
        with hilum_process(["listen"], service.env, folder=tmp_path) as process:
            process.wait_for(service.answers, seconds=60)
            assert dcmsend(films, service.port).accepted == 3
        dry = run_hilum(forget, service.env, folder=tmp_path)
        assert "2 studies with 2 films" in dry.stdout
        assert "1 more studies have a Patient ID that differs only in case" in dry.stdout
        assert "CANARY" not in dry.stdout.upper()
        done = run_hilum([*forget, "--yes"], service.env, folder=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "2 studies of this patient were erased." in done.stdout
        assert service.study().patient_id == ids[2]
        (day,) = (service.data / "audit").glob("*.audit")
        assert day.read_text().count('"110110"') == 2

        wrong = run_hilum([*forget, "--birth-date", "1.1.1970"], service.env, folder=tmp_path)
        assert (wrong.returncode, wrong.stdout) == (2, "")
        assert wrong.stderr.startswith("hilum: a birth date is needed as films say it: YYYYMMDD")
