"""The memory of all data sets that are under way: who may be read from, and who must go."""

from __future__ import annotations

import pytest

from scp_service.budget import Account, Budget

PART, COMMON = 100, 400
PATIENCE = 60.0


class Clock:
    """A time that passes when it is told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def budget(clock: Clock) -> Budget:
    return Budget(2 * COMMON, COMMON // PART, PATIENCE, clock)


def holding(budget: Budget, count: int) -> Account:
    """Return the account of an association that has sent so many bytes."""
    account = Account(budget)
    account.add(count)
    return account


def test_all_may_go_on_as_long_as_there_is_memory(budget: Budget) -> None:
    assert all(holding(budget, PART + 99).may_read() for _ in range(4))


def test_who_went_beyond_its_part_first_goes_on_and_the_others_wait(budget: Budget) -> None:
    first, second = holding(budget, PART + 300), holding(budget, PART + 100)
    assert first.may_read()
    assert not second.may_read()
    first.add(1_000_000)
    assert first.may_read()
    first.clear()
    assert second.may_read()


def test_up_to_its_part_nobody_waits(budget: Budget) -> None:
    holding(budget, 1_000_000)
    small = holding(budget, PART - 1)
    assert small.may_read()
    small.add(1)
    assert not small.may_read()


def test_what_is_held_is_given_back_once(budget: Budget) -> None:
    for _ in range(10):
        account = holding(budget, PART + 300)
        account.clear()
        account.close()
        account.add(1_000_000)  # what comes from a connection that is closed counts no more
    other = holding(budget, PART + 399)
    assert holding(budget, PART).may_read()
    assert other.may_read()


def test_who_holds_what_others_wait_for_must_go_in_time(budget: Budget, clock: Clock) -> None:
    stalled = holding(budget, PART + COMMON)
    clock.now = 10
    waiting = holding(budget, PART)
    assert not waiting.may_read()
    clock.now = 10 + PATIENCE
    assert not waiting.may_read()
    assert not stalled.is_overdue()
    clock.now += 1
    assert not waiting.may_read()
    assert stalled.is_overdue()
    assert not waiting.is_overdue()
    stalled.close()
    assert waiting.may_read()


def test_who_only_waits_itself_or_is_done_need_not_go(budget: Budget, clock: Clock) -> None:
    done, waiting = holding(budget, PART + COMMON), holding(budget, PART + 1)
    done.complete()
    for clock.now in (0, 2 * PATIENCE, 4 * PATIENCE):
        assert not waiting.may_read()
    assert not done.is_overdue()
    assert not waiting.is_overdue()
