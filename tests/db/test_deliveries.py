"""The moves of deliveries: planned by profile, sent, put off, rejected, sent again by hand."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from db import deliveries, history, queue
from db.models import Delivery, Event, Result, Task
from db.recovery import return_lost
from db.session import Database
from db.states import DeliveryState, Subject, TaskKind, TaskState
from tests.db.makers import (
    Clock,
    close_quiet,
    film,
    new_report,
    new_result,
    parcels,
    read_all,
    receive,
    report,
    reported_study,
    rows,
    send_all,
)

PENDING, SENT, REJECTED = DeliveryState.PENDING, DeliveryState.SENT, DeliveryState.REJECTED
ONE_SR = {"pacs": ("sr",)}


def one_parcel(database: Database, clock: Clock) -> deliveries.Parcel:
    """Report a study whose SR goes to one destination, and lease that delivery."""
    reported_study(database, clock, profiles=ONE_SR)
    (parcel,) = parcels(database)
    return parcel


def failed(
    database: Database,
    clock: Clock,
    parcel: deliveries.Parcel,
    reason: str,
    *,
    status: int | None = None,
    counts: bool = True,
) -> None:
    with database.write() as session:
        deliveries.record_failure(
            session,
            parcel,
            status=status,
            reason=reason,
            at=clock.now + timedelta(seconds=5),
            now=clock.now,
            counts=counts,
        )


def only(database: Database) -> Delivery:
    (delivery,) = rows(database, Delivery)
    return delivery


def said(database: Database) -> list[tuple[str, str | None]]:
    """Return the states and reasons of the events that speak of deliveries."""
    with database.read() as session:
        query = select(Event).where(Event.subject == Subject.DELIVERY).order_by(Event.id)
        return [(each.state, each.reason) for each in session.scalars(query)]


def test_every_destination_gets_what_its_profile_asks_for(database: Database, clock: Clock) -> None:
    made = new_report(new_result("sr"), new_result("sc"), new_result("sc"))
    reported_study(
        database,
        clock,
        made=made,
        profiles={"pacs": ("sr", "sc"), "ris": ("sr",), "viewer": ("sc",), "nothing": ()},
    )
    kinds = {result.id: result.kind for result in rows(database, Result)}
    planned = [(each.destination, kinds[each.result_id]) for each in rows(database, Delivery)]
    assert sorted(planned) == [
        ("pacs", "sc"),
        ("pacs", "sc"),
        ("pacs", "sr"),
        ("ris", "sr"),
        ("viewer", "sc"),
        ("viewer", "sc"),
    ]
    assert said(database) == [("pending", None)] * 6
    assert len(parcels(database, "pacs")) == 3
    assert len(parcels(database, "ris")) == 1
    assert parcels(database, "nothing") == []


def test_parcels_come_in_order_with_all_that_sending_needs(
    database: Database, clock: Clock
) -> None:
    made = new_report(new_result("sr"), new_result("sc"))
    study_id = reported_study(database, clock, made=made)
    found = parcels(database)
    assert [
        (
            each.study_id,
            each.kind,
            each.sop_class_uid,
            each.sop_instance_uid,
            each.transfer_syntax_uid,
            each.path,
        )
        for each in found
    ] == [
        (
            study_id,
            each.kind,
            each.sop_class_uid,
            each.sop_instance_uid,
            each.transfer_syntax_uid,
            each.path,
        )
        for each in made.results
    ]
    assert [each.delivery_id for each in found] == [each.lease.subject_id for each in found]


def test_no_leases_are_no_parcels(database: Database) -> None:
    with database.read() as session:
        assert deliveries.parcels(session, []) == []


def test_what_was_acknowledged_is_sent_and_done(database: Database, clock: Clock) -> None:
    parcel = one_parcel(database, clock)
    clock.move(seconds=1)
    with database.write() as session:
        deliveries.record_sent(session, [deliveries.Sent(parcel, 0xB000, "2.25.7")], now=clock.now)
    delivery = only(database)
    assert (delivery.state, delivery.status, delivery.sent_as, delivery.sent_at) == (
        SENT,
        0xB000,
        "2.25.7",
        clock.now,
    )
    assert rows(database, Task) == []
    assert said(database)[-1] == ("sent", None)


def test_a_failure_is_noted_and_tried_again_at_its_time(database: Database, clock: Clock) -> None:
    parcel = one_parcel(database, clock)
    failed(database, clock, parcel, "status A700", status=0xA700)
    delivery = only(database)
    assert (delivery.state, delivery.status, delivery.reason) == (PENDING, 0xA700, "status A700")
    clock.move(seconds=4.9)
    assert parcels(database) == []
    clock.move(seconds=0.1)
    (again,) = parcels(database)
    assert again.lease.attempts == 2
    assert said(database)[-1] == ("pending", "status A700")


def test_only_a_new_reason_makes_a_new_event(database: Database, clock: Clock) -> None:
    parcel = one_parcel(database, clock)
    for reason in ("down", "down", "down", "refused", "down"):
        failed(database, clock, parcel, reason, counts=False)
        clock.move(seconds=5)
        (parcel,) = parcels(database)
        assert parcel.lease.attempts == 1
    assert said(database) == [
        ("pending", None),
        ("pending", "down"),
        ("pending", "refused"),
        ("pending", "down"),
    ]


def test_what_was_sent_in_the_end_has_no_reason_left(database: Database, clock: Clock) -> None:
    parcel = one_parcel(database, clock)
    failed(database, clock, parcel, "down")
    clock.move(seconds=5)
    send_all(database)
    assert (only(database).state, only(database).reason) == (SENT, None)


def test_a_rejected_object_is_set_aside_with_the_reason(database: Database, clock: Clock) -> None:
    parcel = one_parcel(database, clock)
    with database.write() as session:
        deliveries.record_rejected(
            session, parcel, status=0xA900, reason="status A900", now=clock.now
        )
    delivery = only(database)
    assert (delivery.state, delivery.status, delivery.reason) == (REJECTED, 0xA900, "status A900")
    (task,) = rows(database, Task)
    assert (task.state, task.error) == (TaskState.QUARANTINED, "status A900")
    assert said(database)[-1] == ("rejected", "status A900")
    clock.move(days=1)
    assert parcels(database) == []


@pytest.mark.parametrize("move", ["sent", "failed", "rejected"])
def test_nothing_is_recorded_by_a_sender_that_lost_its_lease(
    database: Database, clock: Clock, move: str
) -> None:
    lost = one_parcel(database, clock)
    clock.move(minutes=5)
    with database.write() as session:
        assert return_lost(session, owner="s", max_attempts=1, now=clock.now) == 1
    (held,) = parcels(database)
    before = said(database)

    def record() -> None:
        with database.write() as session:
            if move == "sent":
                deliveries.record_sent(session, [deliveries.Sent(lost, 0)], now=clock.now)
            elif move == "rejected":
                deliveries.record_rejected(session, lost, status=1, reason="r", now=clock.now)
            else:
                deliveries.record_failure(
                    session, lost, status=1, reason="r", at=clock.now, now=clock.now
                )

    with pytest.raises(queue.LeaseLostError):
        record()
    assert said(database) == before
    assert (only(database).state, only(database).reason) == (PENDING, None)
    with database.write() as session:
        deliveries.record_sent(session, [deliveries.Sent(held, 0)], now=clock.now)


def test_a_delivery_is_never_given_up_because_its_sender_was_lost(
    database: Database, clock: Clock
) -> None:
    one_parcel(database, clock)
    for _ in range(10):
        clock.move(minutes=5)
        with database.write() as session:
            return_lost(session, owner="s", max_attempts=3, now=clock.now)
        assert len(parcels(database)) == 1
    assert only(database).state is PENDING


def test_a_day_without_the_destination_loses_nothing(database: Database, clock: Clock) -> None:
    reported_study(database, clock, profiles=ONE_SR)
    backoff = queue.Backoff(first=5, longest=600)
    tries, start = 0, clock.now
    while clock.now - start < timedelta(days=1):
        tries += 1
        delay = backoff.delay(tries)
        with database.write() as session:
            (lease,) = queue.claim(
                session,
                TaskKind.DELIVER,
                owner="sender",
                now=clock.now,
                lease_seconds=60,
                limit=10,
                lane="pacs",
            )
            (parcel,) = deliveries.parcels(session, [lease])
            assert lease.attempts == 1
            deliveries.record_failure(
                session,
                parcel,
                status=None,
                reason="it cannot be reached",
                at=clock.now + delay,
                now=clock.now,
                counts=False,
            )
        clock.now += delay
    assert tries < 24 * 60 / 5 * 1.2, "after a while, at most one call in five minutes"
    send_all(database)
    assert only(database).state is SENT
    assert said(database) == [
        ("pending", None),
        ("pending", "it cannot be reached"),
        ("sent", None),
    ]


def resend(database: Database, clock: Clock, study_id: int, *, everything: bool) -> int:
    with database.write() as session:
        return deliveries.resend(session, study_id, everything=everything, now=clock.now)


def three_fates(database: Database, clock: Clock) -> int:
    """Report a study whose three deliveries are sent, put off by an hour, and rejected."""
    study_id = reported_study(
        database, clock, made=new_report(new_result("sr"), new_result("sc"), new_result("sc"))
    )
    sent, waits, refused = parcels(database)
    with database.write() as session:
        deliveries.record_sent(session, [deliveries.Sent(sent, 0)], now=clock.now)
        deliveries.record_failure(
            session,
            waits,
            status=None,
            reason="down",
            at=clock.now + timedelta(hours=1),
            now=clock.now,
        )
        deliveries.record_rejected(
            session, refused, status=0xA900, reason="status A900", now=clock.now
        )
    assert [each.state for each in rows(database, Delivery)] == [SENT, PENDING, REJECTED]
    return study_id


def test_resend_sends_at_once_what_waits_or_was_rejected(database: Database, clock: Clock) -> None:
    study_id = three_fates(database, clock)
    assert resend(database, clock, study_id, everything=False) == 2
    assert said(database)[-2:] == [("pending", "sent again by hand")] * 2
    found = parcels(database)
    assert [(each.delivery_id, each.lease.attempts) for each in found] == [(2, 1), (3, 1)]
    assert [each.state for each in rows(database, Delivery)] == [SENT, PENDING, PENDING]


def test_resend_of_everything_sends_what_was_acknowledged_too(
    database: Database, clock: Clock
) -> None:
    study_id = three_fates(database, clock)
    assert resend(database, clock, study_id, everything=True) == 3
    assert len(parcels(database)) == 3


def test_resend_sends_the_latest_report_only(database: Database, clock: Clock) -> None:
    first = film()
    study_id = reported_study(database, clock, first)
    send_all(database)
    receive(database, film(study_instance_uid=first.study_instance_uid))
    read_all(database)
    clock.move(seconds=10)
    close_quiet(database)
    second = new_report()
    report(database, made=second)
    send_all(database)
    assert resend(database, clock, study_id, everything=True) == 2
    assert [each.sop_instance_uid for each in parcels(database)] == [
        each.sop_instance_uid for each in second.results
    ]


def test_resend_of_what_is_being_sent_makes_no_second_task(
    database: Database, clock: Clock
) -> None:
    parcel = one_parcel(database, clock)
    assert resend(database, clock, parcel.study_id, everything=False) == 1
    assert parcels(database) == []
    with database.write() as session:
        deliveries.record_sent(session, [deliveries.Sent(parcel, 0)], now=clock.now)
    assert only(database).state is SENT


def test_deliveries_are_counted_by_destination(database: Database, clock: Clock) -> None:
    study_id = three_fates(database, clock)
    with database.read() as session:
        assert history.deliveries(session, [study_id]) == {
            study_id: [history.DeliveryCount("pacs", sent=1, pending=1, rejected=1)]
        }
