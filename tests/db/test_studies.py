"""The moves of images and studies: each leaves its event, and a report covers what it says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from db import history, images, queue, reports, studies
from db.models import (
    Delivery,
    Event,
    Instance,
    Report,
    ReportedInstance,
    Result,
    StoredReading,
    Study,
    Task,
)
from db.recovery import return_lost
from db.session import Database
from db.states import InstanceState, StudyState, TaskKind, TaskState
from tests.db.makers import (
    Clock,
    claim,
    claim_one,
    close_quiet,
    events,
    film,
    instance_of,
    material,
    new_report,
    new_result,
    read,
    read_all,
    receive,
    report,
    reported_study,
    rows,
    send_all,
    stored_reading,
    uid,
)

Move = Callable[[Session, queue.Lease], None]


def act(database: Database, move: Callable[[Session], None]) -> None:
    with database.write() as session:
        move(session)


def quarantine(database: Database, clock: Clock, lease: queue.Lease, reason: str) -> None:
    act(
        database,
        lambda session: images.quarantine_image(session, lease, reason=reason, now=clock.now),
    )


def fail(database: Database, clock: Clock, reason: str = "the tree is too deep") -> queue.Lease:
    """Let the one report that is due fail for good."""
    lease = claim_one(database, TaskKind.REPORT)
    act(
        database,
        lambda session: reports.fail_report(session, lease, reason=reason, now=clock.now),
    )
    return lease


def test_a_reading_settles_the_image(database: Database, clock: Clock) -> None:
    receive(database, film())
    lease = claim_one(database, TaskKind.READ)
    clock.move(seconds=2)
    read(database, lease)
    (instance,) = rows(database, Instance)
    assert (instance.state, instance.settled_at) == (InstanceState.READ, clock.now)
    (stored,) = rows(database, StoredReading)
    assert (stored.instance_id, stored.boxes[0]["score"]) == (instance.id, 0.7)
    assert rows(database, Task) == []
    assert events(database)[-1] == ("instance", "read", None)
    assert rows(database, Event)[-1].at == clock.now


def test_a_refusal_settles_the_image_with_its_reason(database: Database, clock: Clock) -> None:
    receive(database, film())
    lease = claim_one(database, TaskKind.READ)
    act(
        database,
        lambda session: images.record_refusal(
            session, lease, code="lateral", reason="A lateral view.", now=clock.now
        ),
    )
    (instance,) = rows(database, Instance)
    assert (instance.state, instance.refusal_code, instance.reason) == (
        InstanceState.REFUSED,
        "lateral",
        "A lateral view.",
    )
    assert rows(database, Task) == []
    assert events(database)[-1] == ("instance", "refused", "A lateral view.")


def test_a_quarantined_image_keeps_its_task_and_its_reason(
    database: Database, clock: Clock
) -> None:
    receive(database, film())
    quarantine(database, clock, claim_one(database, TaskKind.READ), "It ends too early.")
    (instance,) = rows(database, Instance)
    assert (instance.state, instance.refusal_code, instance.reason) == (
        InstanceState.QUARANTINED,
        "undecodable",
        "It ends too early.",
    )
    (task,) = rows(database, Task)
    assert (task.state, task.error) == (TaskState.QUARANTINED, "It ends too early.")
    assert events(database)[-1] == ("instance", "quarantined", "It ends too early.")


MOVES: dict[str, tuple[TaskKind, Callable[[Clock], Move]]] = {
    "read": (
        TaskKind.READ,
        lambda clock: (
            lambda session, lease: images.record_readings(
                session, [(lease, stored_reading(lease.subject_id, clock.now))], now=clock.now
            )
        ),
    ),
    "refuse": (
        TaskKind.READ,
        lambda clock: (
            lambda session, lease: images.record_refusal(
                session, lease, code="lateral", reason="r", now=clock.now
            )
        ),
    ),
    "quarantine": (
        TaskKind.READ,
        lambda clock: (
            lambda session, lease: images.quarantine_image(
                session, lease, reason="r", now=clock.now
            )
        ),
    ),
    "report": (
        TaskKind.REPORT,
        lambda clock: (
            lambda session, lease: reports.record_reports(
                session,
                [
                    reports.FinishedReport(
                        lease,
                        reports.material(session, [lease.subject_id])[lease.subject_id],
                        new_report(),
                        {"pacs": ("sr",)},
                    )
                ],
                now=clock.now,
            )
        ),
    ),
    "fail": (
        TaskKind.REPORT,
        lambda clock: (
            lambda session, lease: reports.fail_report(session, lease, reason="r", now=clock.now)
        ),
    ),
    "read again": (
        TaskKind.REPORT,
        lambda clock: (
            lambda session, lease: reports.read_again(
                session, lease, [1], reason="r", now=clock.now
            )
        ),
    ),
}


@pytest.mark.parametrize("name", MOVES)
def test_nothing_is_recorded_by_a_worker_that_lost_its_lease(
    database: Database, clock: Clock, name: str
) -> None:
    kind, make = MOVES[name]
    receive(database, film())
    if kind is TaskKind.REPORT:
        read_all(database)
        clock.move(seconds=10)
        close_quiet(database)
    lost = claim_one(database, kind)
    clock.move(minutes=5)
    act(database, lambda session: return_lost(session, owner="s", max_attempts=9, now=clock.now))
    held = claim_one(database, kind, lane=queue.ALONE, owner="second")
    before = [len(rows(database, table)) for table in (Event, StoredReading, Report, Result)]
    states = [row.state for table in (Study, Instance, Task) for row in rows(database, table)]
    with pytest.raises(queue.LeaseLostError):
        act(database, lambda session: make(clock)(session, lost))
    assert before == [
        len(rows(database, table)) for table in (Event, StoredReading, Report, Result)
    ]
    assert states == [
        row.state for table in (Study, Instance, Task) for row in rows(database, table)
    ]
    act(database, lambda session: make(clock)(session, held))
    assert len(rows(database, Event)) > before[0]


def test_a_study_is_quiet_only_after_its_time(database: Database, clock: Clock) -> None:
    receive(database, film())
    read_all(database)
    clock.move(seconds=2.999)
    with database.read() as session:
        assert not studies.has_quiet(session, quiet_seconds=3, now=clock.now)
    assert close_quiet(database, 3) == 0
    clock.move(seconds=0.001)
    with database.read() as session:
        assert studies.has_quiet(session, quiet_seconds=3, now=clock.now)
    assert close_quiet(database, 3) == 1


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_two_who_see_a_quiet_study_at_once_have_it_reported_once(
    database: Database, clock: Clock
) -> None:
    """Without a lock the second would wait, and report what the first had done meanwhile."""
    receive(database, film())
    read_all(database)
    clock.move(seconds=3)
    with database.write() as first, database.write() as second:
        second.execute(text("SET LOCAL lock_timeout = '5s'"))
        assert studies.close_quiet(first, quiet_seconds=3, now=clock.now) == 1
        assert studies.close_quiet(second, quiet_seconds=3, now=clock.now) == 0
    assert len(claim(database, TaskKind.REPORT)) == 1


def test_each_film_starts_the_quiet_time_anew(database: Database, clock: Clock) -> None:
    study = uid()
    for _ in range(3):
        receive(database, film(study_instance_uid=study))
        read_all(database)
        clock.move(seconds=2)
        assert close_quiet(database, 3) == 0
    clock.move(seconds=1)
    assert close_quiet(database, 3) == 1


def test_a_quiet_study_waits_for_its_last_image(database: Database, clock: Clock) -> None:
    study = uid()
    receive(database, film(study_instance_uid=study), film(study_instance_uid=study))
    first, second = claim(database, TaskKind.READ)
    read(database, first)
    clock.move(hours=1)
    assert close_quiet(database) == 0
    quarantine(database, clock, second, "poison")
    assert close_quiet(database) == 1


def test_one_study_waits_for_no_other(database: Database, clock: Clock) -> None:
    receive(database, film(), film())
    read(database, claim(database, TaskKind.READ)[0])
    clock.move(hours=1)
    assert close_quiet(database) == 1


def test_a_quiet_study_gets_one_report_task(database: Database, clock: Clock) -> None:
    receive(database, film())
    read_all(database)
    clock.move(seconds=10)
    assert close_quiet(database) == 1
    assert close_quiet(database) == 0
    lease = claim_one(database, TaskKind.REPORT)
    assert close_quiet(database) == 0
    act(
        database,
        lambda session: queue.retry_later(session, lease, at=clock.now, error="later"),
    )
    assert close_quiet(database) == 0
    report(database)
    assert close_quiet(database) == 0


def test_a_report_covers_its_images_and_makes_its_results_and_deliveries(
    database: Database, clock: Clock
) -> None:
    study = uid()
    films = [film(study_instance_uid=study) for _ in range(2)]
    made = new_report(new_result("sr"), new_result("sc"), new_result("sc"))
    study_id = reported_study(
        database, clock, *films, made=made, profiles={"pacs": ("sr", "sc"), "ris": ("sr",)}
    )
    (row,) = rows(database, Report)
    assert (row.study_id, row.revision, row.sentence) == (study_id, 1, made.sentence)
    assert row.recorded_at == made.recorded_at
    assert {each.instance_id for each in rows(database, ReportedInstance)} == {
        each.id for each in rows(database, Instance)
    }
    stored = rows(database, Result)
    assert [each.kind for each in stored] == ["sr", "sc", "sc"]
    assert [each.sop_instance_uid for each in stored] == [
        each.sop_instance_uid for each in made.results
    ]
    by_destination = dict.fromkeys(("pacs", "ris"), 0)
    for delivery in rows(database, Delivery):
        by_destination[delivery.destination] += 1
    assert by_destination == {"pacs": 3, "ris": 1}
    assert {(task.kind, task.lane) for task in rows(database, Task)} == {
        (TaskKind.DELIVER, "pacs"),
        (TaskKind.DELIVER, "ris"),
    }
    with database.read() as session:
        reported = session.get_one(Study, study_id)
        assert (reported.state, reported.revision) == (StudyState.REPORTED, 1)
        assert (reported.finding, reported.probability) == (made.finding, made.probability)
        assert (reported.sentence, reported.bundle) == (made.sentence, made.bundle)
        assert reported.reported_at == clock.now
    said = [event for event in events(database, study_id) if event[0] == "study"]
    assert said == [
        ("study", "open", None),
        ("study", "reported", f"revision 1: {made.sentence}"),
    ]


def test_a_report_names_the_one_that_it_succeeds(database: Database, clock: Clock) -> None:
    first = film()
    made = new_report()
    study_id = reported_study(database, clock, first, made=made)
    receive(database, film(study_instance_uid=first.study_instance_uid))
    read_all(database)
    clock.move(seconds=10)
    close_quiet(database)
    source = material(database, study_id)
    sr = made.results[0]
    assert source.revision == 2
    assert source.prior == reports.PriorReport(
        sr.sop_class_uid, sr.sop_instance_uid, sr.series_instance_uid
    )
    assert len(source.images) == 2
    second = new_report()
    report(database, made=second)
    source = material(database, study_id)
    assert source.revision == 3
    assert source.prior is not None
    assert source.prior.sop_instance_uid == second.results[0].sop_instance_uid


def test_the_first_report_succeeds_none(database: Database, clock: Clock) -> None:
    receive(database, film())
    read_all(database)
    source = material(database, 1)
    assert (source.revision, source.prior) == (1, None)


def test_material_holds_the_latest_reading_or_the_refusal_of_each_image(
    database: Database, clock: Clock
) -> None:
    study = uid()
    receive(database, *(film(study_instance_uid=study) for _ in range(3)))
    first, second, third = claim(database, TaskKind.READ)
    read(database, first)
    act(
        database,
        lambda session: images.record_refusal(
            session, second, code="lateral", reason="r", now=clock.now
        ),
    )
    quarantine(database, clock, third, "poison")
    with database.write() as session:
        session.add(stored_reading(first.subject_id, clock.now, bundle="test 2"))
    found = material(database, 1).images
    assert [image.id for image, _ in found] == [each.subject_id for each in (first, second, third)]
    assert [said and said.bundle for _, said in found] == ["test 2", None, None]
    assert [image.refusal_code for image, _ in found] == [None, "lateral", "undecodable"]


def test_an_image_that_came_during_the_report_keeps_the_study_open(
    database: Database, clock: Clock
) -> None:
    first = film()
    receive(database, first)
    read_all(database)
    clock.move(seconds=10)
    close_quiet(database)
    lease = claim_one(database, TaskKind.REPORT)
    source = material(database, lease.subject_id)
    late = film(study_instance_uid=first.study_instance_uid)
    receive(database, late)
    act(
        database,
        lambda session: reports.record_reports(
            session, [reports.FinishedReport(lease, source, new_report(), {})], now=clock.now
        ),
    )
    with database.read() as session:
        assert session.get_one(Study, lease.subject_id).state is StudyState.OPEN
        covered = session.scalars(select(ReportedInstance.instance_id)).all()
        assert covered == [instance_of(session, first).id]
    read_all(database)
    clock.move(seconds=10)
    assert close_quiet(database) == 1
    report(database)
    with database.read() as session:
        study = session.get_one(Study, lease.subject_id)
        assert (study.state, study.revision) == (StudyState.REPORTED, 2)


def test_a_report_that_cannot_be_made_fails_the_study(database: Database, clock: Clock) -> None:
    receive(database, film())
    read_all(database)
    clock.move(seconds=10)
    close_quiet(database)
    lease = fail(database, clock)
    with database.read() as session:
        assert session.get_one(Study, lease.subject_id).state is StudyState.FAILED
    assert events(database, lease.subject_id)[-1] == ("study", "failed", "the tree is too deep")
    clock.move(days=1)
    assert close_quiet(database) == 0
    assert rows(database, Report) == rows(database, Delivery) == []


def test_an_image_that_came_during_a_failing_report_is_reported_all_the_same(
    database: Database, clock: Clock
) -> None:
    first = film()
    receive(database, first)
    read_all(database)
    clock.move(seconds=10)
    close_quiet(database)
    lease = claim_one(database, TaskKind.REPORT)
    clock.move(seconds=1)
    receive(database, film(study_instance_uid=first.study_instance_uid))
    act(
        database,
        lambda session: reports.fail_report(session, lease, reason="r", now=clock.now),
    )
    read_all(database)
    clock.move(seconds=10)
    assert close_quiet(database) == 1
    report(database)
    with database.read() as session:
        assert session.get_one(Study, lease.subject_id).state is StudyState.REPORTED


def test_a_late_image_gives_a_failed_study_another_report(database: Database, clock: Clock) -> None:
    first = film()
    receive(database, first)
    read_all(database)
    clock.move(seconds=10)
    close_quiet(database)
    lease = fail(database, clock)
    receive(database, film(study_instance_uid=first.study_instance_uid))
    read_all(database)
    clock.move(seconds=10)
    assert close_quiet(database) == 1
    assert report(database) == lease.subject_id


def test_reading_again_puts_the_report_off(database: Database, clock: Clock) -> None:
    study = uid()
    receive(database, *(film(study_instance_uid=study) for _ in range(2)))
    read_all(database)
    clock.move(seconds=10)
    close_quiet(database)
    lease = claim_one(database, TaskKind.REPORT)
    stale = rows(database, Instance)[0].id
    act(
        database,
        lambda session: reports.read_again(
            session, lease, [stale], reason="another model is in use now", now=clock.now
        ),
    )
    assert events(database)[-1] == ("instance", "received", "another model is in use now")
    assert close_quiet(database) == 0
    assert claim_one(database, TaskKind.READ).subject_id == stale
    assert [each.state for each in rows(database, Instance)] == [
        InstanceState.RECEIVED,
        InstanceState.READ,
    ]


def retry(database: Database, clock: Clock, study_id: int) -> int:
    with database.write() as session:
        return studies.retry(session, study_id, now=clock.now)


def test_retry_reads_quarantined_and_refused_images_anew(database: Database, clock: Clock) -> None:
    first = film()
    study = first.study_instance_uid
    receive(database, first, film(study_instance_uid=study), film(study_instance_uid=study))
    # An altered copy is not what went wrong: it stays as it is.
    receive(database, film(study_instance_uid=study, sop_instance_uid=first.sop_instance_uid))
    one, two, three = claim(database, TaskKind.READ)
    read(database, one)
    act(
        database,
        lambda session: images.record_refusal(
            session, two, code="undecodable", reason="r", now=clock.now
        ),
    )
    quarantine(database, clock, three, "poison")
    clock.move(seconds=10)
    close_quiet(database)
    study_id = report(database)
    assert retry(database, clock, study_id) == 2
    assert events(database, study_id)[-3:] == [
        ("instance", "received", "retried by hand"),
        ("instance", "received", "retried by hand"),
        ("study", "open", "retried by hand"),
    ]
    leases = claim(database, TaskKind.READ)
    assert {lease.subject_id for lease in leases} == {two.subject_id, three.subject_id}
    assert {lease.attempts for lease in leases} == {1}
    for lease in leases:
        read(database, lease)
    assert close_quiet(database) == 1
    assert material(database, study_id).revision == 2


def test_retry_does_not_read_what_belongs_to_another_study(
    database: Database, clock: Clock
) -> None:
    first = film()
    receive(database, first, film(sop_instance_uid=first.sop_instance_uid))
    read_all(database)
    assert [each.current for each in rows(database, Instance)] == [True, True]
    assert retry(database, clock, 2) == 0
    assert claim(database, TaskKind.READ) == []


def test_retry_makes_a_failed_report_anew(database: Database, clock: Clock) -> None:
    receive(database, film())
    read_all(database)
    clock.move(seconds=10)
    close_quiet(database)
    study_id = fail(database, clock).subject_id
    assert retry(database, clock, study_id) == 1
    assert events(database, study_id)[-1] == ("study", "open", "retried by hand")
    assert close_quiet(database) == 1
    assert claim_one(database, TaskKind.REPORT).attempts == 1
    with database.read() as session:
        assert history.counts(session).quarantined_tasks == 0


def test_retry_of_a_study_that_is_well_does_nothing(database: Database, clock: Clock) -> None:
    study_id = reported_study(database, clock)
    before = events(database, study_id)
    assert retry(database, clock, study_id) == 0
    assert events(database, study_id) == before


def test_every_event_has_the_time_of_its_move(database: Database, clock: Clock) -> None:
    made = film()
    receive(database, made)
    start = clock.now
    clock.move(seconds=1)
    read_all(database)
    clock.move(seconds=9)
    close_quiet(database)
    study_id = report(database, {"pacs": ("sr",)})
    with database.read() as session:
        timeline = [
            (event.subject.value, event.state, event.at - start)
            for event in history.timeline(session, study_id)
        ]
    assert timeline == [
        ("study", "open", timedelta(0)),
        ("instance", "received", timedelta(0)),
        ("instance", "read", timedelta(seconds=1)),
        ("delivery", "pending", timedelta(seconds=10)),
        ("study", "reported", timedelta(seconds=10)),
    ]


def test_what_was_stopped_is_told_and_the_rest_is_sent(database: Database) -> None:
    _await_report(database)
    made = new_report(new_result("sr"), stopped=("the overlay of image 1 is not sent: a fault",))
    study_id = report(database, made=made)
    (study,) = rows(database, Study)
    assert study.state is StudyState.REPORTED
    told = [(state, reason) for _, state, reason in events(database, study_id)]
    assert ("stopped", "the overlay of image 1 is not sent: a fault") in told
    assert len(rows(database, Delivery)) == 1


def test_a_study_whose_report_was_stopped_has_failed_and_can_be_retried(database: Database) -> None:
    _await_report(database)
    made = new_report(new_result("sc"), stopped=("the report is not sent: a fault",))
    study_id = report(database, made=made)
    (study,) = rows(database, Study)
    assert study.state is StudyState.FAILED
    assert len(rows(database, Delivery)) == 1, "its overlay goes out"
    with database.write() as session:
        assert studies.retry(session, study_id, now=database.now(session)) == 1
    close_quiet(database, 0)
    assert material(database, study_id).prior is None
    report(database)
    (study,) = rows(database, Study)
    assert (study.state, study.revision) == (StudyState.REPORTED, 2)


def test_a_report_that_lacks_what_was_stopped_can_be_made_again(
    database: Database, clock: Clock
) -> None:
    _await_report(database)
    stopped = ("the overlays are not sent: a fault",)
    study_id = report(database, made=new_report(new_result("sr"), stopped=stopped))
    clock.move(seconds=10)
    assert retry(database, clock, study_id) == 1
    assert close_quiet(database, 0) == 1
    report(database, made=new_report(new_result("sr"), new_result("sc")))
    clock.move(seconds=10)
    assert retry(database, clock, study_id) == 0, "nothing of the revision was stopped"


def _await_report(database: Database) -> None:
    receive(database, film())
    read_all(database)
    close_quiet(database, 0)


def test_a_reported_study_is_read_anew_as_a_further_revision(
    database: Database, clock: Clock
) -> None:
    study_id = reported_study(database, clock)
    send_all(database)
    with database.write() as session:
        assert studies.read_anew(session, study_id, reason="read anew by ann", now=clock.now) == 1
        assert studies.read_anew(session, study_id, reason="read anew by ann", now=clock.now) == 0
    assert events(database, study_id)[-2:] == [
        ("instance", "received", "read anew by ann"),
        ("study", "open", "read anew by ann"),
    ]
    read_all(database)
    clock.move(seconds=10)
    close_quiet(database)
    report(database)
    assert [each.revision for each in rows(database, Report)] == [1, 2]
    assert len(rows(database, StoredReading)) == 2
