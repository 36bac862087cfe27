"""A positive overtakes what waits: the rest of its study, its report, its deliveries."""

from __future__ import annotations

from db import deliveries
from db.models import Report, Study, Task
from db.queue import Rank
from db.session import Database
from db.states import Priority, TaskKind
from tests.db.makers import (
    Clock,
    claim,
    claim_one,
    close_quiet,
    film,
    instance_of,
    new_report,
    parcels,
    read,
    read_all,
    receive,
    report,
    reported_study,
    rows,
    uid,
)

URGENT = new_report(priority=Priority.URGENT)


def ranks(database: Database, kind: TaskKind) -> dict[int, int]:
    return {each.subject_id: each.priority for each in rows(database, Task) if each.kind == kind}


def test_the_other_images_of_an_urgent_study_are_read_next(
    database: Database, clock: Clock
) -> None:
    study = uid()
    first, other = film(study_instance_uid=study), film(study_instance_uid=study)
    receive(database, first)
    lease = claim_one(database, TaskKind.READ)
    receive(database, *(film() for _ in range(5)))
    receive(database, other)
    read(database, lease, urgent=True)
    late = film(study_instance_uid=study)
    receive(database, late)
    with database.read() as session:
        wanted = [instance_of(session, each).id for each in (other, late)]
    assert [each.subject_id for each in claim(database, TaskKind.READ, limit=2)] == wanted


def test_an_urgent_study_is_reported_before_those_that_waited(
    database: Database, clock: Clock
) -> None:
    receive(database, film(), film(), film())
    read_all(database)
    receive(database, film())
    read(database, claim_one(database, TaskKind.READ), urgent=True)
    clock.move(seconds=10)
    assert close_quiet(database) == 4
    assert ranks(database, TaskKind.REPORT) == {1: 0, 2: 0, 3: 0, 4: Rank.URGENT}
    assert [each.subject_id for each in claim(database, TaskKind.REPORT)] == [4, 1, 2, 3]
    assert [each.priority for each in rows(database, Study)] == ["routine"] * 3 + ["urgent"]


def test_what_belongs_to_an_urgent_report_is_delivered_first(
    database: Database, clock: Clock
) -> None:
    for _ in range(3):
        reported_study(database, clock)
    urgent = reported_study(database, clock, made=URGENT)
    assert [each.study_id for each in parcels(database)] == [urgent] * 2 + [1, 1, 2, 2, 3, 3]
    assert [each.priority for each in rows(database, Report)] == ["routine"] * 3 + ["urgent"]


def test_what_is_sent_again_by_hand_stays_urgent(database: Database, clock: Clock) -> None:
    urgent = reported_study(database, clock, made=URGENT)
    with database.write() as session:
        deliveries.resend(session, urgent, everything=True, now=clock.now)
    assert set(ranks(database, TaskKind.DELIVER).values()) == {Rank.URGENT}


def test_a_revision_that_takes_the_finding_back_is_routine_again(
    database: Database, clock: Clock
) -> None:
    study = uid()
    reported_study(database, clock, film(study_instance_uid=study), made=URGENT)
    receive(database, film(study_instance_uid=study))
    read_all(database)
    clock.move(seconds=10)
    close_quiet(database)
    assert set(ranks(database, TaskKind.REPORT).values()) == {Rank.URGENT}
    report(database)
    assert [each.priority for each in rows(database, Study)] == ["routine"]
