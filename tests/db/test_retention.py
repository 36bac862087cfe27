"""Deletion: what is old goes with all its rows, what is unsent stays, one line remains."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from db import bundles, deliveries, images, reports, retention, verdicts
from db.intake import Outcome
from db.models import Base, Event, Instance, Result, StoredReading
from db.session import Database
from db.states import StudyState, TaskKind
from db.verdicts import NewVerdict
from tests.db.makers import (
    SECOND,
    Clock,
    claim_one,
    close_quiet,
    events,
    film,
    parcels,
    read,
    read_all,
    read_in_shadow,
    receive,
    report,
    reported_study,
    rows,
    send_all,
    study_of,
    uid,
)


def expired(database: Database, clock: Clock, *, days: int = 30, limit: int = 100) -> list[int]:
    with database.read() as session:
        return retention.expired(session, before=clock.now - timedelta(days=days), limit=limit)


def forget(database: Database, clock: Clock, study_id: int) -> None:
    with database.write() as session:
        retention.forget(session, study_id, reason="retention: 30 days", now=clock.now)


def test_a_study_expires_after_its_days(database: Database, clock: Clock) -> None:
    study_id = reported_study(database, clock)
    send_all(database)
    clock.move(days=30)
    assert expired(database, clock) == []
    clock.move(seconds=1)
    assert expired(database, clock) == [study_id]


def test_what_is_unsent_never_expires(database: Database, clock: Clock) -> None:
    study_id = reported_study(database, clock, profiles={"pacs": ("sr", "sc"), "ris": ("sr",)})
    send_all(database, "pacs")
    clock.move(days=1000)
    assert expired(database, clock) == []
    send_all(database, "ris")
    assert expired(database, clock) == [study_id]


def test_what_an_earlier_report_has_not_sent_never_expires(
    database: Database, clock: Clock
) -> None:
    first = film()
    study_id = reported_study(database, clock, first, profiles={"ris": ("sr",)})
    receive(database, film(study_instance_uid=first.study_instance_uid))
    read_all(database)
    clock.move(seconds=10)
    close_quiet(database)
    report(database, {"pacs": ("sr",)})
    send_all(database, "pacs")
    clock.move(days=1000)
    assert expired(database, clock) == []
    send_all(database, "ris")
    assert expired(database, clock) == [study_id]


def test_a_rejected_object_holds_nothing_back(database: Database, clock: Clock) -> None:
    study_id = reported_study(database, clock, profiles={"pacs": ("sr",)})
    (parcel,) = parcels(database)
    with database.write() as session:
        deliveries.record_rejected(session, parcel, status=1, reason="r", now=clock.now)
    clock.move(days=1000)
    assert expired(database, clock) == [study_id]


def test_a_study_that_nobody_gets_expires_too(database: Database, clock: Clock) -> None:
    study_id = reported_study(database, clock, profiles={})
    clock.move(days=31)
    assert expired(database, clock) == [study_id]


@pytest.mark.parametrize("state", [StudyState.OPEN, StudyState.FAILED])
def test_a_study_without_its_report_never_expires(
    database: Database, clock: Clock, state: StudyState
) -> None:
    first = film()
    reported_study(database, clock, first, profiles={})
    receive(database, film(study_instance_uid=first.study_instance_uid))
    read_all(database)
    if state is StudyState.FAILED:
        clock.move(seconds=10)
        close_quiet(database)
        lease = claim_one(database, TaskKind.REPORT)
        with database.write() as session:
            reports.fail_report(session, lease, reason="r", now=clock.now)
    with database.read() as session:
        assert study_of(session, first).state is state
    clock.move(days=1000)
    assert expired(database, clock) == []


def test_the_list_is_limited_and_oldest_first(database: Database, clock: Clock) -> None:
    made = [reported_study(database, clock, profiles={}) for _ in range(4)]
    clock.move(days=31)
    assert expired(database, clock, limit=3) == made[:3]


def test_a_study_is_asked_again_before_it_goes(database: Database, clock: Clock) -> None:
    first = film()
    study_id = reported_study(database, clock, first, profiles={})
    clock.move(days=31)
    before = clock.now - timedelta(days=30)
    with database.write() as session:
        assert retention.still_expired(session, study_id, before=before)
    receive(database, film(study_instance_uid=first.study_instance_uid))
    with database.write() as session:
        assert not retention.still_expired(session, study_id, before=before)


def test_the_files_of_a_study_are_its_films_and_its_results(
    database: Database, clock: Clock
) -> None:
    study = uid()
    films = [film(study_instance_uid=study) for _ in range(2)]
    study_id = reported_study(database, clock, *films)
    reported_study(database, clock)
    with database.read() as session:
        found = retention.files_of(session, study_id)
    results = rows(database, Result)
    assert sorted(found) == sorted(
        [*(each.path for each in films), *(each.path for each in results[:2])]
    )


def counts(database: Database) -> dict[str, int]:
    with database.read() as session:
        return {
            table.name: session.scalar(select(func.count()).select_from(table)) or 0
            for table in Base.metadata.sorted_tables
        }


OF_NO_STUDY = {
    *("alarm", "alarm_notice", "bundle_choice", "bundle_problem", "commitment_request"),
    *("answered_request", "api_token", "console_user", "login_attempt", "login_session"),
    *("configuration_change", "destination_pause"),
    *("delivery_sum", "film_sum", "reading_sum", "shadow_sum", "study_sum"),
    *("stale_hour", "summed_until"),
}
"""Tables that nothing of one study stands in."""


def test_all_rows_of_a_study_go_and_one_event_stays(database: Database, clock: Clock) -> None:
    with database.write() as session:
        choice = bundles.shadow(session, SECOND, by="test", reason=None, now=clock.now)
        bundles.record_problem(session, choice.id, worker="test", sentence="no", now=clock.now)
    reported_study(database, clock, film())
    read_in_shadow(database)
    send_all(database)
    kept = counts(database)
    study = uid()
    receive(database, *(film(study_instance_uid=study) for _ in range(3)))
    read(database, claim_one(database, TaskKind.READ, limit=1))
    read_in_shadow(database)
    read(database, claim_one(database, TaskKind.READ, limit=1))
    lease = claim_one(database, TaskKind.READ)
    with database.write() as session:
        images.quarantine_image(session, lease, reason="poison", now=clock.now)
    clock.move(seconds=10)
    close_quiet(database)
    study_id = report(database)
    sent, refused = parcels(database)
    with database.write() as session:
        deliveries.record_sent(session, [deliveries.Sent(sent, 0)], now=clock.now)
        deliveries.record_rejected(session, refused, status=1, reason="r", now=clock.now)
        reading = session.scalars(
            select(StoredReading.id).order_by(StoredReading.id.desc())
        ).first()
        assert reading is not None
        said = NewVerdict(reading, "normal", None, "", by="ann")
        verdicts.add(session, said, study_id=study_id, now=clock.now)
    assert {name for name, count in counts(database).items() if count == kept[name]} == OF_NO_STUDY
    clock.move(days=31)
    forget(database, clock, study_id)
    kept["event"] += 1
    assert counts(database) == kept
    (last,) = [event for event in rows(database, Event) if event.study_id is None]
    assert (last.subject, last.subject_id, last.state, last.reason, last.at) == (
        "study",
        study_id,
        "deleted",
        "retention: 30 days",
        clock.now,
    )
    assert events(database, study_id) == []


def test_an_altered_copy_in_another_study_outlives_the_first(
    database: Database, clock: Clock
) -> None:
    first = film()
    study_id = reported_study(database, clock, first, profiles={})
    receive(database, film(sop_instance_uid=first.sop_instance_uid))
    clock.move(days=31)
    forget(database, clock, study_id)
    (copy,) = rows(database, Instance)
    assert copy.altered_from is None


def test_a_deleted_study_that_comes_again_is_new_under_a_new_id(
    database: Database, clock: Clock
) -> None:
    made = film()
    study_id = reported_study(database, clock, made, profiles={})
    clock.move(days=31)
    forget(database, clock, study_id)
    assert receive(database, made) == [Outcome.NEW]
    with database.read() as session:
        assert study_of(session, made).id > study_id
