"""What stands in the bar at the top, and for whom."""

from __future__ import annotations

from dataclasses import dataclass

from db.states import UserRole


@dataclass(frozen=True, slots=True)
class Entry:
    """A page in the bar: its title, its path, and the role that it is for."""

    title: str
    path: str
    role: UserRole = UserRole.READER

    def is_current(self, path: str) -> bool:
        """Tell whether the page at `path` is this one or below it."""
        return path == self.path or (self.path != "/" and path.startswith(f"{self.path}/"))


NAVIGATION = (
    Entry("Worklist", "/"),
    Entry("Verdicts", "/verdicts"),
    Entry("Monitoring", "/monitoring"),
    Entry("Administration", "/administration", UserRole.ADMIN),
)
