"""What is remembered of storage commitments, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from db import commitments, deliveries
from db.commitments import Asked, Outcome, Request, Said
from db.models import CommitmentRequest, Delivery, Study
from db.session import Database
from db.states import DeliveryState
from tests.db.makers import Clock, parcels, reported_study, rows


def sent(database: Database, clock: Clock, *, commit: bool = True) -> None:
    """Have an SR acknowledged by the destination `pacs`."""
    reported_study(database, clock, profiles={"pacs": ("sr",)})
    acknowledge(database, clock, commit=commit)


def acknowledge(database: Database, clock: Clock, *, commit: bool = True) -> None:
    acknowledged = [deliveries.Sent(each, 0, None, commit) for each in parcels(database)]
    with database.write() as session:
        deliveries.record_sent(session, acknowledged, now=clock.now)


def claim(database: Database, clock: Clock, uid: str = "1.2.3") -> list[Asked]:
    with database.write() as session:
        return commitments.claim(
            session, "pacs", transaction_uid=uid, timeout_seconds=60, now=clock.now, limit=10
        )


def settle(database: Database, clock: Clock, uid: str, asked: Sequence[Asked], said: Said) -> int:
    with database.write() as session:
        answers = {each.sop_instance_uid: said for each in asked}
        return commitments.settle(session, uid, answers, now=clock.now)


def test_what_is_asked_for_is_due_again_when_no_answer_comes_and_later_each_time(
    database: Database, clock: Clock
) -> None:
    sent(database, clock)
    assert len(claim(database, clock)) == 1
    assert claim(database, clock) == []
    clock.move(seconds=59)
    assert claim(database, clock) == []
    clock.move(seconds=1)
    assert len(claim(database, clock, "1.2.4")) == 1
    clock.move(seconds=119)
    assert claim(database, clock) == []
    clock.move(seconds=1)
    assert len(claim(database, clock)) == 1


def test_nothing_is_asked_of_a_destination_that_need_not_commit_itself(
    database: Database, clock: Clock
) -> None:
    sent(database, clock, commit=False)
    assert claim(database, clock) == []


def test_only_the_latest_transaction_counts_and_only_once(database: Database, clock: Clock) -> None:
    sent(database, clock)
    claim(database, clock, "1.2.3")
    clock.move(seconds=60)
    asked = claim(database, clock, "1.2.4")
    committed = Said(Outcome.COMMITTED)
    assert settle(database, clock, "1.2.3", asked, committed) == 0
    assert settle(database, clock, "1.2.4", asked, committed) == 1
    assert settle(database, clock, "1.2.4", asked, Said(Outcome.MISSING, "gone")) == 0
    assert [each.state for each in rows(database, Delivery)] == [DeliveryState.COMMITTED]


def test_what_an_answer_does_not_mention_still_waits(database: Database, clock: Clock) -> None:
    sent(database, clock)
    claim(database, clock, "1.2.3")
    with database.write() as session:
        said = {"9.9.9": Said(Outcome.COMMITTED)}
        assert commitments.settle(session, "1.2.3", said, now=clock.now) == 0
    clock.move(seconds=60)
    assert len(claim(database, clock)) == 1


def test_what_is_sent_again_by_hand_is_asked_for_anew(database: Database, clock: Clock) -> None:
    sent(database, clock)
    asked = claim(database, clock)
    settle(database, clock, "1.2.3", asked, Said(Outcome.COMMITTED))
    with database.write() as session:
        deliveries.resend(session, rows(database, Study)[0].id, everything=True, now=clock.now)
    assert claim(database, clock) == []
    acknowledge(database, clock)
    assert len(claim(database, clock)) == 1


def opened(database: Database, clock: Clock) -> int:
    with database.write() as session:
        return commitments.open_request(
            session,
            transaction_uid="1.2.3",
            peer_ae="MODALITY",
            peer_address="10.0.0.1",
            called_ae="HILUM",
            references=[("1.2", "1.3")],
            answer_at=clock.now + timedelta(seconds=30),
            now=clock.now,
        )


def take(database: Database, clock: Clock, *ids: int) -> Request | None:
    with database.write() as session:
        return commitments.take_request(session, ids=ids, lease_seconds=60, now=clock.now)


def test_a_transaction_that_is_asked_twice_is_answered_once(
    database: Database, clock: Clock
) -> None:
    first = opened(database, clock)
    assert opened(database, clock) == first
    assert len(rows(database, CommitmentRequest)) == 1


def test_a_request_is_left_to_who_took_it_and_taken_over_when_he_is_gone(
    database: Database, clock: Clock
) -> None:
    request_id = opened(database, clock)
    assert take(database, clock) is None
    taken = take(database, clock, request_id)
    assert taken is not None
    assert taken.references == (("1.2", "1.3"),)
    clock.move(seconds=59)
    assert take(database, clock) is None
    clock.move(seconds=1)
    assert take(database, clock) == taken


def test_a_request_that_cannot_be_answered_for_long_is_given_up(
    database: Database, clock: Clock
) -> None:
    request_id = opened(database, clock)
    waits: list[timedelta | None] = []
    for _ in range(3):
        take(database, clock, request_id)
        with database.write() as session:
            waits.append(
                commitments.put_off_request(
                    session, request_id, longest=timedelta(days=7), now=clock.now
                )
            )
    assert waits == [timedelta(seconds=5), timedelta(seconds=10), timedelta(seconds=20)]
    clock.move(days=8)
    with database.write() as session:
        longest = timedelta(days=7)
        assert (
            commitments.put_off_request(session, request_id, longest=longest, now=clock.now) is None
        )
    assert rows(database, CommitmentRequest) == []
