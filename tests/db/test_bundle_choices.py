"""Which bundle is chosen: the latest choice holds, a rollback goes further back each time."""

from __future__ import annotations

import pytest

from db import bundles
from db.bundles import BundleKey, NothingBeforeError
from db.models import BundleChoice, BundleProblem, Task
from db.session import Database
from db.states import BundleRole, TaskKind
from tests.db.makers import SECOND, Clock, claim, film, read_all, receive, rows

FIRST = BundleKey("first", "1", "1" * 64)
THIRD = BundleKey("third", "3", "3" * 64)


def activate(database: Database, key: BundleKey | None, reason: str | None = None) -> BundleChoice:
    with database.write() as session:
        now = database.now(session)
        return bundles.activate(session, key, by="ann@ward", reason=reason, now=now)


def shadow(database: Database, key: BundleKey | None) -> BundleChoice:
    with database.write() as session:
        now = database.now(session)
        return bundles.shadow(session, key, by="ann@ward", reason=None, now=now)


def roll_back(database: Database) -> BundleKey | None:
    with database.write() as session:
        now = database.now(session)
        return bundles.key_of(bundles.roll_back(session, by="bob@ward", reason=None, now=now))


def holding(database: Database, role: BundleRole = BundleRole.ACTIVE) -> BundleKey | None:
    with database.read() as session:
        return bundles.key_of(bundles.current(session, role))


def test_the_latest_choice_of_a_role_holds(database: Database) -> None:
    assert holding(database) is None
    activate(database, FIRST)
    shadow(database, THIRD)
    activate(database, SECOND)
    assert holding(database) == SECOND
    assert holding(database, BundleRole.SHADOW) == THIRD
    activate(database, None)
    assert holding(database) is None


def test_every_choice_stays_with_when_who_and_why(database: Database, clock: Clock) -> None:
    activate(database, FIRST, "validated in March")
    later = clock.move(days=1)
    shadow(database, SECOND)
    with database.read() as session:
        second, first = bundles.history(session, limit=10)
    assert (first.role, first.bundle, first.version) == ("active", "first", "1")
    assert (first.by, first.reason) == ("ann@ward", "validated in March")
    assert (second.role, second.bundle, second.at) == ("shadow", "second", later)
    with database.read() as session:
        assert [each.id for each in bundles.history(session, limit=1)] == [second.id]


def test_a_rollback_goes_back_step_by_step_to_what_is_configured(database: Database) -> None:
    for key in (FIRST, SECOND, THIRD):
        activate(database, key)
    assert [roll_back(database) for _ in range(3)] == [SECOND, FIRST, None]
    with pytest.raises(NothingBeforeError, match="nothing to return to"):
        roll_back(database)
    assert holding(database) is None


def test_a_rollback_after_a_new_choice_returns_to_what_that_one_replaced(
    database: Database,
) -> None:
    activate(database, FIRST)
    activate(database, SECOND)
    assert roll_back(database) == FIRST
    activate(database, THIRD)
    assert roll_back(database) == FIRST
    assert roll_back(database) is None


def test_without_any_choice_there_is_no_way_back(database: Database) -> None:
    with pytest.raises(NothingBeforeError):
        roll_back(database)
    assert rows(database, BundleChoice) == []


def test_what_becomes_active_reads_in_shadow_no_longer(database: Database) -> None:
    shadow(database, SECOND)
    activate(database, FIRST)
    assert holding(database, BundleRole.SHADOW) == SECOND
    activate(database, SECOND)
    assert holding(database, BundleRole.SHADOW) is None
    shadow(database, FIRST)
    assert roll_back(database) == FIRST
    assert holding(database, BundleRole.SHADOW) is None


def test_switching_the_shadow_off_drops_what_waits_for_it_alone(database: Database) -> None:
    shadow(database, SECOND)
    receive(database, film(), film())
    read_all(database)
    receive(database, film())
    [leased] = claim(database, TaskKind.SHADOW, limit=1)
    shadow(database, None)
    assert {(each.kind, each.id == leased.task_id) for each in rows(database, Task)} == {
        ("shadow", True),
        ("read", False),
    }


def test_a_problem_stands_once_a_machine_until_it_is_over(database: Database, clock: Clock) -> None:
    old = activate(database, FIRST)
    new = activate(database, SECOND)
    with database.write() as session:
        for choice, worker, sentence in (
            (old, "a", "gone"),
            (new, "a", "first"),
            (new, "a", "second"),
            (new, "b", "other"),
        ):
            bundles.record_problem(
                session, choice.id, worker=worker, sentence=sentence, now=clock.now
            )
    with database.read() as session:
        found = bundles.problems(session)
    assert [(choice.id, each.worker, each.sentence) for choice, each in found] == [
        (new.id, "a", "second"),
        (new.id, "b", "other"),
    ]
    with database.write() as session:
        bundles.clear_problem(session, new.id, worker="a")
    assert {each.worker for each in rows(database, BundleProblem)} == {"a", "b"}
    with database.read() as session:
        assert [each.worker for _, each in bundles.problems(session)] == ["b"]
