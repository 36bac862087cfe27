"""The queue: nothing is lost, nothing is done twice, nobody waits for what is dead."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta

import pytest
from sqlalchemy import select

from db import queue
from db.models import Task
from db.queue import Rank
from db.recovery import return_lost
from db.session import Database
from db.states import TaskKind, TaskState
from tests import peers
from tests.db.makers import LEASE_SECONDS, OWNER, Clock, claim, claim_one, rows

READ, REPORT, DELIVER = TaskKind.READ, TaskKind.REPORT, TaskKind.DELIVER


def enqueue(database: Database, *subjects: int, kind: TaskKind = READ, **how: object) -> None:
    with database.write() as session:
        queue.enqueue(session, kind, subjects, now=database.now(session), **how)  # type: ignore[arg-type]


def take_lost(database: Database, owner: str = "scheduler") -> list[queue.Lease]:
    with database.write() as session:
        return queue.take_lost(
            session, now=database.now(session), owner=owner, lease_seconds=LEASE_SECONDS
        )


def finish(database: Database, lease: queue.Lease) -> None:
    with database.write() as session:
        queue.finish(session, lease)


def only_task(database: Database) -> Task:
    (task,) = rows(database, Task)
    return task


def test_a_subject_has_at_most_one_live_task_of_a_kind(database: Database) -> None:
    enqueue(database, 1, 2, 1)
    enqueue(database, 2, 3)
    enqueue(database, 1, kind=REPORT)
    assert sorted((task.kind, task.subject_id) for task in rows(database, Task)) == [
        (READ, 1),
        (READ, 2),
        (READ, 3),
        (REPORT, 1),
    ]
    claim(database, READ)
    enqueue(database, 1)
    assert claim(database, READ) == []


def test_a_quarantined_task_does_not_stand_in_the_way_of_a_new_one(database: Database) -> None:
    enqueue(database, 1)
    lease = claim_one(database, READ)
    with database.write() as session:
        queue.quarantine(session, lease, error="broken")
    enqueue(database, 1)
    again = claim_one(database, READ)
    assert again.task_id != lease.task_id
    assert {task.state for task in rows(database, Task)} == {
        TaskState.LEASED,
        TaskState.QUARANTINED,
    }


def test_enqueueing_nothing_is_nothing(database: Database) -> None:
    enqueue(database)
    assert rows(database, Task) == []


def test_claims_go_by_priority_then_by_time(database: Database, clock: Clock) -> None:
    enqueue(database, 1)
    clock.move(seconds=1)
    enqueue(database, 2)
    enqueue(database, 3, rank=Rank.AGAIN)
    enqueue(database, 4)
    assert [lease.subject_id for lease in claim(database, READ, limit=3)] == [3, 1, 2]
    assert [lease.subject_id for lease in claim(database, READ, limit=3)] == [4]


def test_what_is_less_urgent_keeps_a_share_of_every_batch(database: Database, clock: Clock) -> None:
    """However much of a higher rank waits, the oldest of a lower one goes with each batch."""
    enqueue(database, 1, 2, 3)
    clock.move(seconds=1)
    enqueue(database, *range(11, 31), rank=Rank.URGENT)
    batches = [
        [lease.subject_id for lease in claim(database, READ, limit=limit)] for limit in (8, 8, 3, 1)
    ]
    assert batches == [[*range(11, 17), 1, 2], [*range(17, 24), 3], [24, 25, 26], [27]]


def test_what_waits_can_be_made_urgent(database: Database) -> None:
    enqueue(database, 1, 2, 3)
    enqueue(database, 3, kind=REPORT)
    (leased,) = claim(database, READ, limit=1)
    with database.write() as session:
        queue.expedite(session, READ, [1, 3])
    assert [lease.subject_id for lease in claim(database, READ)] == [3, 2]
    ranks = {(each.kind, each.subject_id): each.priority for each in rows(database, Task)}
    assert (ranks[READ, leased.subject_id], ranks[REPORT, 3]) == (Rank.ROUTINE, Rank.ROUTINE)


def test_lanes_and_kinds_do_not_see_each_other(database: Database) -> None:
    enqueue(database, 1, kind=DELIVER, lane="a")
    enqueue(database, 2, kind=DELIVER, lane="b")
    enqueue(database, 3, kind=REPORT)
    assert claim(database, DELIVER) == []
    assert claim_one(database, DELIVER, lane="b").subject_id == 2
    assert claim_one(database, DELIVER, lane="a").subject_id == 1
    assert claim_one(database, REPORT).subject_id == 3


def test_any_ready_tells_what_claim_would_find(database: Database, clock: Clock) -> None:
    def ready(lane: str = "") -> bool:
        with database.read() as session:
            return queue.any_ready(session, READ, now=database.now(session), lane=lane)

    assert not ready()
    enqueue(database, 1)
    assert ready()
    assert not ready(lane="elsewhere")
    lease = claim_one(database, READ)
    assert not ready()
    with database.write() as session:
        queue.retry_later(session, lease, at=clock.now + timedelta(seconds=5), error="e")
    assert not ready()
    clock.move(seconds=5)
    assert ready()


def test_a_lease_says_what_to_do_and_how_long_it_holds(database: Database, clock: Clock) -> None:
    enqueue(database, 7, kind=DELIVER, lane="pacs")
    lease = claim_one(database, DELIVER, lane="pacs")
    task = only_task(database)
    until = clock.now + timedelta(seconds=LEASE_SECONDS)
    assert lease == queue.Lease(task.id, DELIVER, 7, "pacs", 1, 1, until, task.created_at)
    assert (task.state, task.owner, task.lease_until) == (TaskState.LEASED, OWNER, lease.until)


def test_a_lease_holds_to_its_end_and_not_longer(database: Database, clock: Clock) -> None:
    enqueue(database, 1)
    lease = claim_one(database, READ)
    clock.move(seconds=LEASE_SECONDS)
    assert take_lost(database) == []
    clock.move(seconds=0.001)
    (taken,) = take_lost(database)
    assert (taken.task_id, taken.subject_id, taken.attempts) == (lease.task_id, 1, 1)
    assert taken.token > lease.token
    assert only_task(database).owner == "scheduler"


def test_a_heartbeat_keeps_a_lease_alive(database: Database, clock: Clock) -> None:
    enqueue(database, 1, 2)
    leases = claim(database, READ)
    for _ in range(5):
        clock.move(seconds=LEASE_SECONDS - 1)
        with database.write() as session:
            kept = queue.extend(session, leases, now=clock.now, lease_seconds=LEASE_SECONDS)
        assert kept == 2
    assert take_lost(database) == []
    finish(database, leases[0])
    finish(database, leases[1])
    assert rows(database, Task) == []


def test_a_heartbeat_tells_how_many_leases_are_still_held(database: Database, clock: Clock) -> None:
    enqueue(database, 1, 2)
    first, second = claim(database, READ)
    finish(database, first)
    clock.move(days=1)
    with database.write() as session:
        assert queue.extend(session, [first, second], now=clock.now, lease_seconds=1) == 1
    clock.move(days=1)
    take_lost(database)
    with database.write() as session:
        assert queue.extend(session, [first, second], now=clock.now, lease_seconds=1) == 0


def taken_over(database: Database, clock: Clock) -> tuple[queue.Lease, queue.Lease]:
    """Return a lease whose owner fell silent, and the lease of the worker that has the task now."""
    enqueue(database, 1)
    lost = claim_one(database, READ)
    clock.move(seconds=LEASE_SECONDS + 1)
    with database.write() as session:
        assert return_lost(session, owner="s", max_attempts=3, now=clock.now) == 1
    return lost, claim_one(database, READ, lane=queue.ALONE, owner="second")


@pytest.mark.parametrize("move", ["finish", "retry_later", "quarantine"])
def test_who_lost_the_lease_can_do_no_harm(database: Database, clock: Clock, move: str) -> None:
    lost, held = taken_over(database, clock)
    before = only_task(database)
    moves = {
        "finish": lambda session: queue.finish(session, lost),
        "retry_later": lambda session: queue.retry_later(session, lost, at=clock.now, error="e"),
        "quarantine": lambda session: queue.quarantine(session, lost, error="e"),
    }

    def move_and_more() -> None:
        with database.write() as session:
            queue.enqueue(session, REPORT, [99], now=clock.now)
            moves[move](session)

    with pytest.raises(queue.LeaseLostError):
        move_and_more()
    after = only_task(database)
    assert (after.state, after.owner, after.token, after.error) == (
        before.state,
        "second",
        before.token,
        before.error,
    )
    finish(database, held)
    assert rows(database, Task) == []


def test_who_lost_the_lease_cannot_give_the_task_back(database: Database, clock: Clock) -> None:
    lost, held = taken_over(database, clock)
    with database.write() as session:
        queue.give_back(session, lost, now=clock.now)
    assert claim(database, READ, lane=queue.ALONE) == []
    finish(database, held)


def test_a_late_worker_cannot_finish_a_newer_task_that_took_the_same_number(
    database: Database, clock: Clock
) -> None:
    lost, held = taken_over(database, clock)
    finish(database, held)
    enqueue(database, 2)
    newer = claim_one(database, READ)
    assert newer.subject_id == 2
    with pytest.raises(queue.LeaseLostError):
        finish(database, lost)
    finish(database, newer)


def test_giving_back_does_not_count_the_attempt(database: Database, clock: Clock) -> None:
    enqueue(database, 1)
    for _ in range(5):
        lease = claim_one(database, READ)
        assert lease.attempts == 1
        with database.write() as session:
            queue.give_back(session, lease, now=clock.now)
    task = only_task(database)
    assert (task.state, task.owner, task.lease_until) == (TaskState.READY, None, None)


def test_a_failed_attempt_counts_and_waits(database: Database, clock: Clock) -> None:
    enqueue(database, 1)
    for attempt in (1, 2, 3):
        lease = claim_one(database, READ)
        assert lease.attempts == attempt
        with database.write() as session:
            queue.retry_later(
                session, lease, at=clock.now + timedelta(seconds=5), error=f"error {attempt}"
            )
        assert only_task(database).error == f"error {attempt}"
        assert claim(database, READ) == []
        clock.move(seconds=4.999)
        assert claim(database, READ) == []
        clock.move(seconds=0.001)


def test_an_attempt_that_failed_for_another_reason_does_not_count(
    database: Database, clock: Clock
) -> None:
    enqueue(database, 1)
    for _ in range(3):
        lease = claim_one(database, READ)
        assert lease.attempts == 1
        with database.write() as session:
            queue.retry_later(session, lease, at=clock.now, error="down", counts=False)


def test_quarantine_sets_a_task_aside_for_good(database: Database, clock: Clock) -> None:
    enqueue(database, 1)
    lease = claim_one(database, READ)
    with database.write() as session:
        queue.quarantine(session, lease, error="poison")
    clock.move(days=365)
    assert claim(database, READ) == []
    assert take_lost(database) == []
    task = only_task(database)
    assert (task.state, task.error, task.owner, task.lease_until) == (
        TaskState.QUARANTINED,
        "poison",
        None,
        None,
    )


def test_renewing_forgets_attempts_and_quarantine_and_goes_first(
    database: Database, clock: Clock
) -> None:
    enqueue(database, 1, 2, 3)
    first, second = claim(database, READ, limit=2)
    with database.write() as session:
        queue.quarantine(session, first, error="poison")
        queue.retry_later(session, second, at=clock.now + timedelta(days=1), error="wait")
        queue.renew(session, READ, [1, 2], now=clock.now)
    leases = claim(database, READ)
    assert [(lease.subject_id, lease.attempts) for lease in leases] == [(1, 1), (2, 1), (3, 1)]
    assert len(rows(database, Task)) == 3


def test_renewing_leaves_a_task_alone_that_somebody_works_on(
    database: Database, clock: Clock
) -> None:
    enqueue(database, 1)
    lease = claim_one(database, READ)
    with database.write() as session:
        queue.renew(session, READ, [1], now=clock.now)
    assert claim(database, READ) == []
    finish(database, lease)


def test_renewing_goes_to_the_lane_given(database: Database, clock: Clock) -> None:
    enqueue(database, 1, kind=DELIVER, lane="pacs")
    with database.write() as session:
        queue.renew(session, DELIVER, [1], now=clock.now, lane="pacs")
    assert claim_one(database, DELIVER, lane="pacs").subject_id == 1


def test_backoff_doubles_up_to_its_longest_and_stays_within_half_and_all() -> None:
    backoff = queue.Backoff(first=5, longest=600)
    rng = random.Random(1)
    for attempts, full in ((1, 5), (2, 10), (3, 20), (7, 320), (8, 600), (9, 600), (10_000, 600)):
        delays = [backoff.delay(attempts, rng).total_seconds() for _ in range(300)]
        assert full / 2 <= min(delays) < full * 0.55
        assert full * 0.95 < max(delays) <= full


def test_backoff_draws_so_that_failures_do_not_return_together() -> None:
    backoff = queue.Backoff(first=5, longest=600)
    assert len({backoff.delay(3) for _ in range(50)}) > 40


def test_lost_workers_tasks_return_until_they_have_had_all_attempts(
    database: Database, clock: Clock
) -> None:
    enqueue(database, 1, kind=DELIVER, lane="pacs")
    for attempt in range(1, 6):
        assert claim_one(database, DELIVER, lane="pacs").attempts == attempt
        clock.move(seconds=LEASE_SECONDS + 1)
        with database.write() as session:
            assert return_lost(session, owner="s", max_attempts=3, now=clock.now) == 1
    task = only_task(database)
    assert (task.state, task.error) == (TaskState.READY, "its worker was lost")


def test_a_clock_a_day_ahead_takes_leases_over_and_loses_nothing(
    database: Database, clock: Clock
) -> None:
    enqueue(database, 1)
    ours = claim_one(database, READ)
    clock.move(days=1)
    with database.write() as session:
        assert return_lost(session, owner="s", max_attempts=3, now=clock.now) == 1
    theirs = claim_one(database, READ, lane=queue.ALONE, owner="second")
    with pytest.raises(queue.LeaseLostError):
        finish(database, ours)
    finish(database, theirs)
    assert rows(database, Task) == []


def test_a_clock_set_back_leaves_running_work_alone(database: Database, clock: Clock) -> None:
    enqueue(database, 1, 2)
    lease, other = claim(database, READ)
    clock.move(days=-1)
    assert take_lost(database) == []
    with database.write() as session:
        queue.extend(session, [lease], now=clock.now, lease_seconds=LEASE_SECONDS)
    finish(database, other)
    clock.move(seconds=LEASE_SECONDS + 1)
    (taken,) = take_lost(database)
    assert taken.task_id == lease.task_id


def drain(database: Database, owner: str, start: threading.Barrier) -> list[int]:
    """Claim and finish until nothing is left; return the subjects."""
    done: list[int] = []
    start.wait()
    while True:
        leases = claim(database, READ, limit=3, owner=owner)
        if not leases:
            with database.read() as session:
                if session.scalar(select(Task.id).limit(1)) is None:
                    return done
            continue
        for lease in leases:
            finish(database, lease)
            done.append(lease.subject_id)


def test_claimers_in_threads_never_get_the_same_task_and_lose_none(database: Database) -> None:
    enqueue(database, *range(60))
    start = threading.Barrier(4)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda n: drain(database, f"w{n}", start), range(4)))
    assert Counter(subject for each in found for subject in each) == Counter(range(60))


CLAIMER = """
import sys
from db import queue
from db.models import TaskKind
from db.session import Database

database = Database(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
misses = 0
while misses < 20:
    with database.write() as session:
        leases = queue.claim(session, TaskKind.READ, owner=sys.argv[2],
                             now=database.now(session), lease_seconds=600, limit=2)
    misses = 0 if leases else misses + 1
    for lease in leases:
        with database.write() as session:
            queue.finish(session, lease)
        print(lease.subject_id, flush=True)
database.close()
"""


def test_claimers_in_processes_never_get_the_same_task_and_lose_none(database_url: str) -> None:
    with closing(Database(database_url)) as database:
        enqueue(database, *range(50))
        workers = [
            subprocess.Popen(
                [sys.executable, "-c", CLAIMER, database_url, f"process{n}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=peers.ROOT,
            )
            for n in range(2)
        ]
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        found = [int(line) for text in _run_together(workers) for line in text.split()]
        assert Counter(found) == Counter(range(50))
        assert rows(database, Task) == []


def _run_together(workers: list[subprocess.Popen[str]]) -> list[str]:
    with ThreadPoolExecutor(len(workers)) as pool:
        outputs = list(pool.map(lambda worker: worker.communicate("go\n", timeout=60)[0], workers))
    assert [worker.returncode for worker in workers] == [0] * len(workers)
    return outputs


def test_who_records_many_outcomes_learns_which_leases_are_lost(
    database: Database, clock: Clock
) -> None:
    enqueue(database, 1, 2)
    kept, lost = claim(database, READ)
    with database.write() as session:
        later = clock.now + timedelta(seconds=LEASE_SECONDS)
        queue.extend(session, [kept], now=later, lease_seconds=LEASE_SECONDS)
    clock.now += timedelta(seconds=LEASE_SECONDS + 1)
    assert [each.task_id for each in take_lost(database)] == [lost.task_id]
    with database.write() as session:
        assert queue.still_held(session, [kept, lost]) == {kept.task_id}


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_leases_are_extended_without_waiting_for_those_that_are_being_recorded(
    database: Database,
) -> None:
    """Each would wait for what the other has locked, and PostgreSQL would end one of them."""
    enqueue(database, 1, 2)
    first, second = claim(database, READ)
    with database.write() as recording:
        assert queue.still_held(recording, [second]) == {second.task_id}
        with database.write() as keeping:
            now = database.now(keeping)
            assert queue.extend(keeping, [first, second], now=now, lease_seconds=60) == 1
        assert queue.still_held(recording, [first]) == {first.task_id}
