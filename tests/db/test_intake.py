"""What became of a film: new, the same again, or altered, and what each does to its study."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from db.images import quarantine_image, record_refusal
from db.intake import Film, Outcome
from db.models import Event, Instance, Study, Task
from db.session import Database
from db.states import InstanceState, StudyState, TaskKind
from tests.db.makers import (
    NOON,
    Clock,
    claim,
    claim_one,
    close_quiet,
    events,
    film,
    instance_of,
    material,
    read_all,
    receive,
    report,
    reported_study,
    rows,
    study_of,
    uid,
)

READ, RECEIVED, REFUSED = InstanceState.READ, InstanceState.RECEIVED, InstanceState.REFUSED
THREADS = 6


def altered(first: Film, **values: object) -> Film:
    """Return another film with the same SOP Instance UID and other bytes."""
    kept = {
        name: getattr(first, name)
        for name in ("study_instance_uid", "series_instance_uid", "sop_instance_uid")
    }
    return film(**{**kept, **values})


def again(first: Film) -> Film:
    """Return the very same film, received a second time: only our file is another one."""
    return replace(first, path=f"{first.path}.again")


def test_a_new_film_becomes_a_row_a_task_and_two_events(database: Database) -> None:
    made = film()
    assert receive(database, made) == [Outcome.NEW]
    with database.read() as session:
        instance, study = instance_of(session, made), study_of(session, made)
        for name in Film.__dataclass_fields__:
            owners = [row for row in (instance, study) if hasattr(row, name)]
            assert owners, name
            assert {getattr(row, name) for row in owners} == {getattr(made, name)}, name
        assert (study.state, study.revision) == (StudyState.OPEN, 0)
        assert (instance.state, instance.current) == (InstanceState.RECEIVED, True)
        assert instance.received_at == study.created_at == study.last_received_at == NOON
        instance_id = instance.id
    assert events(database) == [("study", "open", None), ("instance", "received", None)]
    assert claim_one(database, TaskKind.READ).subject_id == instance_id


def test_the_very_same_film_again_makes_no_work(database: Database, clock: Clock) -> None:
    made = film()
    receive(database, made)
    before = events(database)
    clock.move(hours=1)
    assert receive(database, again(made)) == [Outcome.DUPLICATE]
    assert len(rows(database, Instance)) == 1
    assert len(rows(database, Task)) == 1
    assert events(database) == before
    assert rows(database, Study)[0].last_received_at == NOON


def test_the_very_same_film_does_not_reopen_a_reported_study(
    database: Database, clock: Clock
) -> None:
    made = film()
    study_id = reported_study(database, clock, made)
    assert receive(database, again(made)) == [Outcome.DUPLICATE]
    with database.read() as session:
        assert session.get_one(Study, study_id).state is StudyState.REPORTED


def test_the_same_film_twice_in_one_transaction_is_one_film(database: Database) -> None:
    made = film()
    assert receive(database, made, again(made)) == [Outcome.NEW, Outcome.DUPLICATE]
    assert len(rows(database, Instance)) == 1


def test_a_film_recorded_again_after_a_commit_whose_answer_was_lost_is_still_new(
    database: Database,
) -> None:
    made = film()
    receive(database, made)
    assert receive(database, made) == [Outcome.NEW], "its file must not be dropped as a copy"
    assert len(rows(database, Instance)) == len(rows(database, Task)) == 1


def test_an_altered_copy_is_kept_flagged_and_not_read(database: Database, clock: Clock) -> None:
    first = film()
    study_id = reported_study(database, clock, first)
    second = altered(first)
    assert receive(database, second) == [Outcome.ALTERED]
    with database.read() as session:
        copy = instance_of(session, second)
        assert (copy.state, copy.refusal_code) == (REFUSED, "altered_duplicate")
        assert copy.altered_from == instance_of(session, first).id
        assert not copy.current
        assert instance_of(session, first).current
        assert copy.settled_at == clock.now
        assert session.get_one(Study, study_id).state is StudyState.REPORTED
    assert claim(database, TaskKind.READ) == []
    kind, state, reason = events(database, study_id)[-1]
    assert (kind, state) == ("instance", "refused")
    assert "same SOP Instance UID" in str(reason)


@pytest.mark.parametrize("fate", ["refused", "quarantined"])
def test_an_altered_copy_takes_the_place_of_one_that_could_not_be_read(
    database: Database, clock: Clock, fate: str
) -> None:
    first = film()
    receive(database, first)
    lease = claim_one(database, TaskKind.READ)
    with database.write() as session:
        if fate == "refused":
            record_refusal(session, lease, code="undecodable", reason="broken", now=clock.now)
        else:
            quarantine_image(session, lease, reason="broken", now=clock.now)
    clock.move(seconds=10)
    close_quiet(database)
    study_id = report(database)
    second = altered(first)
    assert receive(database, second) == [Outcome.ALTERED]
    with database.read() as session:
        assert not instance_of(session, first).current
        copy = instance_of(session, second)
        assert (copy.state, copy.current) == (RECEIVED, True)
        assert copy.altered_from == instance_of(session, first).id
    assert events(database, study_id)[-2:] == [
        ("instance", "received", "an altered copy takes the place of one that could not be read"),
        ("study", "open", "a further image has come"),
    ]
    assert read_all(database) == 1
    (image,) = material(database, study_id).images
    assert image[0].sha256 == second.sha256


def test_an_altered_copy_of_an_altered_copy_is_flagged_too(database: Database) -> None:
    first = film()
    receive(database, first)
    for _ in range(2):
        copy = altered(first)
        assert receive(database, copy) == [Outcome.ALTERED]
        with database.read() as session:
            assert not instance_of(session, copy).current
            assert instance_of(session, copy).altered_from == instance_of(session, first).id
    read_all(database)
    assert len(material(database, 1).images) == 1


def test_a_sop_uid_of_another_study_is_reported_there_as_not_analysed(
    database: Database, clock: Clock
) -> None:
    first = film()
    receive(database, first)
    second = film(sop_instance_uid=first.sop_instance_uid)
    assert receive(database, second) == [Outcome.ALTERED]
    assert read_all(database) == 1
    with database.read() as session:
        copy, study_id = instance_of(session, second), study_of(session, second).id
        assert (copy.state, copy.current) == (REFUSED, True)
        assert instance_of(session, first).current
    clock.move(seconds=10)
    assert close_quiet(database) == 2
    (image,) = material(database, study_id).images
    assert image[0].refusal_code == "altered_duplicate"


def test_each_study_has_one_current_copy_of_a_sop_uid_at_most(database: Database) -> None:
    first = film()
    receive(database, first)
    other = film(sop_instance_uid=first.sop_instance_uid)
    receive(database, other, altered(other), altered(first), altered(other))
    current = Counter(copy.study_id for copy in rows(database, Instance) if copy.current)
    assert current == {1: 1, 2: 1}
    assert len(claim(database, TaskKind.READ)) == 1


def test_a_late_image_reopens_a_reported_study(database: Database, clock: Clock) -> None:
    first = film(source_ae="FIRST")
    study_id = reported_study(database, clock, first)
    clock.move(hours=1)
    late = film(
        study_instance_uid=first.study_instance_uid, source_ae="LATE", source_address="10.0.0.9"
    )
    assert receive(database, late) == [Outcome.NEW]
    with database.read() as session:
        study = session.get_one(Study, study_id)
        assert (study.state, study.revision, study.last_received_at) == (
            StudyState.OPEN,
            1,
            clock.now,
        )
        assert (study.source_ae, study.source_address) == ("LATE", "10.0.0.9")
        assert study.created_at == NOON
    assert events(database, study_id)[-1] == ("study", "open", "a further image has come")
    read_all(database)
    clock.move(seconds=10)
    assert close_quiet(database) == 1
    assert material(database, study_id).revision == 2


def together(database: Database, films: list[Film]) -> list[Outcome]:
    """Record films at the same moment, each in a transaction and thread of its own."""
    start = threading.Barrier(len(films))

    def run(made: Film) -> Outcome:
        start.wait()
        return receive(database, made)[0]

    with ThreadPoolExecutor(len(films)) as pool:
        return list(pool.map(run, films))


def test_films_of_one_study_recorded_at_once_share_it(database: Database) -> None:
    study = uid()
    for _ in range(3):
        films = [film(study_instance_uid=study) for _ in range(THREADS)]
        assert together(database, films) == [Outcome.NEW] * THREADS
    (row,) = rows(database, Study)
    assert row.study_instance_uid == study
    assert len(rows(database, Instance)) == len(rows(database, Task)) == 3 * THREADS
    assert Counter(event.subject for event in rows(database, Event)) == {
        "study": 1,
        "instance": 3 * THREADS,
    }


def of_a_known_study(database: Database, known: bool) -> Film:
    """Make a film of a study that is not known yet, or that another film of it has made known."""
    made = film()
    if known:
        receive(database, film(study_instance_uid=made.study_instance_uid))
        read_all(database)
    return made


@pytest.mark.parametrize("known", [False, True])
def test_one_film_recorded_at_once_by_many_is_one_film(database: Database, known: bool) -> None:
    for _ in range(4):
        made = of_a_known_study(database, known)
        copies = [made, *(replace(made, path=f"{made.path}.{n}") for n in range(1, THREADS))]
        assert Counter(together(database, copies)) == {
            Outcome.NEW: 1,
            Outcome.DUPLICATE: THREADS - 1,
        }
        assert read_all(database) == 1


@pytest.mark.parametrize("known", [False, True])
def test_altered_copies_recorded_at_once_leave_one_that_is_read(
    database: Database, known: bool
) -> None:
    for _ in range(4):
        made = of_a_known_study(database, known)
        outcomes = together(database, [made, *(altered(made) for _ in range(THREADS - 1))])
        assert Counter(outcomes) == {Outcome.NEW: 1, Outcome.ALTERED: THREADS - 1}
        assert read_all(database) == 1
        copies = [
            each
            for each in rows(database, Instance)
            if each.sop_instance_uid == made.sop_instance_uid
        ]
        assert len(copies) == THREADS
        assert sum(copy.current for copy in copies) == 1


def test_hostile_text_is_stored_as_it_is(database: Database) -> None:
    name = "Robert'); DROP TABLE study;--^<script>alert(1)</script>"
    made = film(patient_name=name, patient_id="../../../etc/passwd", accession_number='" OR 1=1')
    receive(database, made)
    with database.read() as session:
        study = study_of(session, made)
        assert (study.patient_name, study.patient_id) == (name, "../../../etc/passwd")
