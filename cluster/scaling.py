"""How many workers there shall be, by how long work waits."""

from __future__ import annotations

from settings.cluster import Ray


class Scaling:
    """Decides on the number of workers, asked every moment.

    One more comes where the oldest work has waited for `scale_up_age_seconds`, and the next one not
    before as much time has passed again: a new one needs a moment to make a difference. One leaves
    where nothing has waited so long for `idle_seconds`.
    """

    def __init__(self, rule: Ray, now: float) -> None:
        self._rule = rule
        self._grown: float | None = None
        self._calm_since = now

    def wanted(self, have: int, age: float, now: float) -> int:
        """Return how many workers there shall be from now on.

        Args:
            have: how many there are.
            age: how long the oldest work has waited, in seconds; 0: none waits.
            now: seconds of a clock that only runs forward.
        """
        rule = self._rule
        if age >= rule.scale_up_age_seconds:
            self._calm_since = now
            rested = self._grown is None or now - self._grown >= rule.scale_up_age_seconds
            if have < rule.max_workers and rested:
                self._grown = now
                have += 1
        elif now - self._calm_since >= rule.idle_seconds and have > rule.min_workers:
            self._calm_since = now
            have -= 1
        return min(max(have, rule.min_workers), rule.max_workers)
