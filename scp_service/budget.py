"""How much memory the data sets take that associations are sending: of all of them together.

Half of the budget is shared out: up to its part an association is always read from. The other half
is for whoever comes. Where that is used up, what an association sends beyond its part is not read
for now: it waits at the sender, but for the one that went beyond first. So there is always one that
goes on, and the budget is exceeded by one data set at most.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable


class Account:
    """What one association holds."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.held = 0
        self.over_since = 0.0
        self.waits_since: float | None = None
        self.is_to_go = False
        self._is_closed = False

    def may_read(self) -> bool:
        """Tell whether what the association has sent may be read."""
        return self._budget.allows(self)

    def is_overdue(self) -> bool:
        """Tell, once, whether it has held for too long what others wait for."""
        is_to_go, self.is_to_go = self.is_to_go, False
        return is_to_go

    def add(self, count: int) -> None:
        """Hold so many bytes more."""
        if not self._is_closed:
            self._budget.book(self, self.held + count)

    def complete(self) -> None:
        """Note that the data set is whole: what it takes is given back as soon as can be."""
        self.over_since = math.inf
        self.is_to_go = False

    def clear(self) -> None:
        """Hold nothing any more."""
        self._budget.book(self, 0)

    def close(self) -> None:
        """Hold nothing any more, whatever is still to come."""
        self._is_closed = True
        self.clear()


class Budget:
    """What all associations may hold."""

    def __init__(
        self,
        most_bytes: int,
        associations: int,
        patience_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Share out `most_bytes` among so many associations.

        When one has waited for `patience_seconds`, those are overdue that went beyond their part as
        long ago, could be read from since, and have not come to the end of their data set.
        """
        self._part = most_bytes // 2 // associations
        self._common = most_bytes - self._part * associations
        self._patience = patience_seconds
        self._clock = clock
        self._guard = threading.Lock()
        self._over: dict[Account, None] = {}  # in the order in which they went beyond their part
        self._used = 0

    def allows(self, account: Account) -> bool:
        """Tell whether an association may be read from."""
        with self._guard:
            first = next(iter(self._over), account)
            if account.held < self._part or self._used < self._common or first is account:
                account.waits_since = None
                return True
            now = self._clock()
            if account.waits_since is None:
                account.waits_since = now
            if now - account.waits_since > self._patience:
                self._find_the_overdue(now)
            return False

    def book(self, account: Account, held: int) -> None:
        """Note how much an association holds now."""
        with self._guard:
            self._used += max(0, held - self._part) - max(0, account.held - self._part)
            account.held = held
            if held <= self._part:
                self._over.pop(account, None)
            elif account not in self._over:
                self._over[account] = None
                account.over_since = self._clock()

    def _find_the_overdue(self, now: float) -> None:
        for each in self._over:
            if each.waits_since is None and now - each.over_since > self._patience:
                each.is_to_go = True
