"""Tasks of lost workers: back to the queue, then set aside with what the reports need."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from db import queue, recovery
from db.images import quarantine_image
from db.recovery import return_lost
from db.session import Database
from db.states import InstanceState, StudyState, TaskKind
from tests.db.makers import (
    LEASE_SECONDS,
    Clock,
    claim,
    claim_one,
    close_quiet,
    events,
    film,
    read_all,
    receive,
    reported_study,
    states,
    study_of,
)


def sweep(
    database: Database,
    clock: Clock,
    max_attempts: int = 3,
    is_gone: Callable[[str], bool] = lambda _owner: False,
) -> int:
    with database.write() as session:
        return return_lost(
            session,
            owner="scheduler",
            max_attempts=max_attempts,
            now=clock.now,
            is_gone=is_gone,
        )


def ready(database: Database, clock: Clock, kind: TaskKind) -> None:
    """Have one task of this kind ready."""
    if kind is TaskKind.DELIVER:
        reported_study(database, clock, profiles={"pacs": ("sr",)})
        return
    receive(database, film())
    if kind is TaskKind.REPORT:
        read_all(database)
        clock.move(seconds=10)
        close_quiet(database)


def lose(database: Database, clock: Clock, kind: TaskKind, *, attempt: int) -> None:
    """Let a worker take the one task that is ready, and fall silent."""
    lane = "" if attempt == 1 else queue.ALONE
    assert claim_one(database, kind, lane=lane).attempts == attempt
    clock.move(seconds=LEASE_SECONDS + 1)


def test_living_workers_are_left_alone(database: Database, clock: Clock) -> None:
    receive(database, film())
    claim(database, TaskKind.READ)
    clock.move(seconds=LEASE_SECONDS - 1)
    assert sweep(database, clock) == 0
    assert claim(database, TaskKind.READ) == []


@pytest.mark.parametrize(
    ("kind", "lane", "again"),
    [
        (TaskKind.READ, "", queue.ALONE),
        (TaskKind.REPORT, "", queue.ALONE),
        (TaskKind.DELIVER, "pacs", "pacs"),
    ],
)
def test_the_tasks_of_a_worker_known_to_be_gone_return_before_their_leases_end(
    kind: TaskKind, lane: str, again: str, database: Database, clock: Clock
) -> None:
    ready(database, clock, kind)
    lost = claim_one(database, kind, lane=lane, owner="gone")
    assert sweep(database, clock, is_gone=lambda owner: owner == "other") == 0
    assert sweep(database, clock, is_gone=lambda owner: owner == "gone") == 1
    taken = claim_one(database, kind, lane=again, owner="other")
    assert (taken.subject_id, taken.attempts) == (lost.subject_id, 2)
    assert sweep(database, clock, is_gone=lambda owner: owner == "gone") == 0
    with database.write() as session:
        assert queue.still_held(session, [taken])
        assert not queue.still_held(session, [lost])
        with pytest.raises(queue.LeaseLostError):
            queue.finish(session, lost)


def test_what_the_living_have_is_left_alone_when_another_is_gone(
    database: Database, clock: Clock
) -> None:
    receive(database, film(), film())
    claim(database, TaskKind.READ, limit=1, owner="gone")
    kept = claim_one(database, TaskKind.READ, limit=1, owner="living")
    assert sweep(database, clock, is_gone=lambda owner: owner == "gone") == 1
    with database.write() as session:
        assert queue.still_held(session, [kept])


def test_a_lost_workers_task_is_ready_at_once(database: Database, clock: Clock) -> None:
    receive(database, film())
    lose(database, clock, TaskKind.READ, attempt=1)
    assert sweep(database, clock) == 1
    assert claim(database, TaskKind.READ) == [], "it is leased alone from now on"
    assert claim_one(database, TaskKind.READ, lane=queue.ALONE).attempts == 2
    assert sweep(database, clock) == 0


@pytest.mark.parametrize("max_attempts", [1, 3])
def test_an_image_that_loses_its_workers_is_quarantined_and_reported_so(
    database: Database, clock: Clock, max_attempts: int
) -> None:
    poison, good = film(), film()
    receive(database, poison)
    for attempt in range(1, max_attempts + 1):
        lose(database, clock, TaskKind.READ, attempt=attempt)
        sweep(database, clock, max_attempts)
    assert claim(database, TaskKind.READ) == claim(database, TaskKind.READ, lane=queue.ALONE) == []
    assert states(database, poison) == [InstanceState.QUARANTINED]
    kind, state, reason = events(database)[-1]
    assert (kind, state) == ("instance", "quarantined")
    assert f"lost {max_attempts} times" in str(reason)
    receive(database, good)
    assert read_all(database) == 1
    clock.move(seconds=10)
    assert close_quiet(database) == 2, "the poisoned study is reported too, and holds up no other"


def test_a_report_that_loses_its_workers_fails_the_study(database: Database, clock: Clock) -> None:
    made = film()
    receive(database, made)
    read_all(database)
    clock.move(seconds=10)
    close_quiet(database)
    for attempt in (1, 2, 3):
        lose(database, clock, TaskKind.REPORT, attempt=attempt)
        assert sweep(database, clock) == 1
    assert claim(database, TaskKind.REPORT, lane=queue.ALONE) == []
    with database.read() as session:
        assert study_of(session, made).state is StudyState.FAILED
    assert events(database)[-1][:2] == ("study", "failed")


def test_deliveries_of_a_lost_sender_go_on_however_often(database: Database, clock: Clock) -> None:
    reported_study(database, clock, profiles={"pacs": ("sr",)})
    for attempt in range(1, 8):
        assert claim_one(database, TaskKind.DELIVER, lane="pacs").attempts == attempt
        clock.move(seconds=LEASE_SECONDS + 1)
        assert sweep(database, clock) == 1


def test_tasks_of_all_kinds_and_lanes_are_swept_together(database: Database, clock: Clock) -> None:
    reported_study(database, clock, profiles={"pacs": ("sr",), "ris": ("sr",)})
    receive(database, film(), film())
    claim(database, TaskKind.READ)
    claim(database, TaskKind.DELIVER, lane="pacs")
    claim(database, TaskKind.DELIVER, lane="ris")
    clock.move(seconds=LEASE_SECONDS + 1)
    assert sweep(database, clock) == 4


HOUR = timedelta(hours=1)


def pull_back(database: Database, clock: Clock) -> int:
    with database.write() as session:
        return recovery.pull_back(session, longest_wait=HOUR, now=clock.now)


def test_a_clock_set_back_puts_no_film_off(database: Database, clock: Clock) -> None:
    receive(database, film())
    clock.move(days=-1)
    assert claim(database, TaskKind.READ) == []
    assert pull_back(database, clock) == 2, "the task and the study's last film"
    assert read_all(database) == 1
    clock.move(seconds=2)
    assert close_quiet(database, 3) == 0, "the quiet time begins anew"
    clock.move(seconds=1)
    assert close_quiet(database, 3) == 1
    assert pull_back(database, clock) == 0


def test_a_clock_set_back_keeps_no_task_with_a_dead_worker(
    database: Database, clock: Clock
) -> None:
    receive(database, film(), film())
    dead, living = claim(database, TaskKind.READ)
    clock.move(days=-1)
    assert sweep(database, clock) == 0
    pull_back(database, clock)
    with database.write() as session:
        assert queue.extend(session, [living], now=clock.now, lease_seconds=LEASE_SECONDS) == 1
    clock.move(seconds=1)
    assert sweep(database, clock) == 1
    again = claim_one(database, TaskKind.READ, lane=queue.ALONE)
    assert again.task_id == dead.task_id


def test_what_waits_no_longer_than_it_may_goes_on_waiting(database: Database, clock: Clock) -> None:
    receive(database, film())
    lease = claim_one(database, TaskKind.READ)
    with database.write() as session:
        queue.retry_later(session, lease, at=clock.now + HOUR, error="later")
    assert pull_back(database, clock) == 0
    clock.move(minutes=59)
    assert claim(database, TaskKind.READ) == []


def test_a_quarantined_task_is_not_pulled_back(database: Database, clock: Clock) -> None:
    receive(database, film())
    lease = claim_one(database, TaskKind.READ)
    with database.write() as session:
        quarantine_image(session, lease, reason="poison", now=clock.now)
    clock.move(days=-1)
    assert pull_back(database, clock) == 1, "the study alone"
    assert claim(database, TaskKind.READ) == []
