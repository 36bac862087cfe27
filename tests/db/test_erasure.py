"""Erasure of one patient: all of it goes, and of no one else; not what is in hand."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import make_url

from db import sqlite
from db.erasure import BusyError, alike, erase, held, scrub
from db.files import FileStore
from db.intake import Film
from db.models import Event, Instance, Study
from db.session import Database
from db.states import TaskKind
from tests.db.makers import (
    Clock,
    claim_one,
    events,
    film,
    receive,
    reported_study,
    rows,
    send_all,
    uid,
)

NAME, PATIENT = "CANARY^NAME", "CANARY-4711"


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    made = FileStore(tmp_path / "data")
    made.prepare()
    return made


def mine(**values: str) -> Film:
    return film(patient_id=PATIENT, patient_name=NAME, **values)


def _erase_all(database: Database, store: FileStore, clock: Clock) -> None:
    with database.read() as session:
        studies = held(session, PATIENT).studies
    for study_id in studies:
        erase(database, store, study_id, now=clock.now)


def test_of_one_patient_everything_goes_and_of_others_nothing(
    database: Database, store: FileStore, clock: Clock
) -> None:
    reported_study(database, clock, film(patient_id="OTHER"))
    others = {table: len(rows(database, table)) for table in (Study, Instance)}
    reported_study(database, clock, mine())
    for path in [each.path for each in rows(database, Instance)]:
        store.path(path).parent.mkdir(parents=True, exist_ok=True)
        store.path(path).write_text("film")
    _erase_all(database, store, clock)
    assert {table: len(rows(database, table)) for table in others} == others
    (kept,) = rows(database, Instance)
    assert list(store.root.rglob("*.dcm")) == [store.path(kept.path)]
    assert events(database)[-1] == ("study", "deleted", "erased on request")


def test_what_is_held_is_counted_before(database: Database, clock: Clock) -> None:
    study = uid()
    reported_study(database, clock, *(mine(study_instance_uid=study) for _ in range(2)))
    send_all(database)
    receive(database, mine())
    with database.read() as session:
        found = held(session, PATIENT)
        assert held(session, "CANARY") == held(session, "nobody")
    assert (len(found.studies), found.films, found.results) == (2, 3, 2)
    assert found.destinations == ("pacs",)
    assert len(found.unsent) == 1


def test_what_a_worker_has_in_hand_is_left_alone(
    database: Database, store: FileStore, clock: Clock
) -> None:
    receive(database, mine())
    claim_one(database, TaskKind.READ)
    with pytest.raises(BusyError):
        _erase_all(database, store, clock)
    assert len(rows(database, Study)) == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_no_byte_of_the_patient_is_left_in_the_file(
    database: Database, store: FileStore, clock: Clock
) -> None:
    for _ in range(30):
        reported_study(database, clock, mine())
        reported_study(database, clock, film())
    file = Path(make_url(database.url).database or "")
    assert NAME.encode() in file.read_bytes()
    _erase_all(database, store, clock)
    scrub(database)
    for path in file.parent.glob(f"{file.name}*"):
        assert b"CANARY" not in path.read_bytes()
    assert len(rows(database, Study)) == 30
    assert len(rows(database, Event)) > 30


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_bytes_that_earlier_deletions_left_go_too(database: Database, clock: Clock) -> None:
    for _ in range(10):
        receive(database, mine())
    file = Path(make_url(database.url).database or "")
    with closing(sqlite.connect(file)) as careless:
        careless.execute("PRAGMA secure_delete = OFF")
        careless.execute("DELETE FROM study WHERE patient_name = ?", [NAME])
        careless.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert NAME.encode() in file.read_bytes()
    scrub(database)
    assert b"CANARY" not in file.read_bytes()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_while_somebody_reads_what_was_deleted_is_not_called_gone(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_SECONDS", 0.2)
    with closing(Database(database_url)) as database:
        receive(database, mine())
        file = Path(make_url(database.url).database or "")
        with closing(sqlite.connect(file)) as reader:
            reader.execute("BEGIN")
            assert reader.execute("SELECT count(*) FROM study").fetchone() == (1,)
            with pytest.raises(BusyError):
                scrub(database)
        scrub(database)
        log = file.with_name(f"{file.name}-wal")
        assert not log.exists() or log.stat().st_size == 0


def test_one_id_of_two_patients_is_told_and_the_birth_date_tells_them_apart(
    database: Database, store: FileStore, clock: Clock
) -> None:
    receive(database, mine(patient_birth_date="19700101"), mine(patient_birth_date="19700101"))
    receive(database, mine(patient_birth_date="19800101"), mine(patient_birth_date=""))
    with database.read() as session:
        assert held(session, PATIENT).birth_dates == 2
        assert len(held(session, PATIENT).studies) == 4
        one = held(session, PATIENT, "19700101")
    assert (len(one.studies), one.films, one.birth_dates) == (2, 2, 1)
    for study_id in one.studies:
        erase(database, store, study_id, now=clock.now)
    assert {each.patient_birth_date for each in rows(database, Study)} == {"19800101", ""}


@pytest.mark.parametrize(
    ("other", "is_alike"),
    [
        ("004711a", True),
        (" 4711A ", True),
        ("4711a^^^HOSPITAL", True),
        ("4711a", False),  # that itself
        ("4711", False),
        ("4711ab", False),
        ("4711a%", False),
        ("14711a", False),
    ],
)
def test_ids_that_may_be_meant_too_are_counted(
    database: Database, other: str, is_alike: bool
) -> None:
    receive(database, film(patient_id=other))
    with database.read() as session:
        assert alike(session, ["4711a"]) == int(is_alike)
        assert alike(session, ["0"]) == 0


def test_an_id_with_its_issuer_finds_that_without(database: Database) -> None:
    receive(database, film(patient_id="4711"))
    with database.read() as session:
        assert alike(session, ["4711^^^HOSPITAL"]) == 1
