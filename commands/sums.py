"""`hilum sums`: the sums that the figures of the console come from, made anew."""

from __future__ import annotations

from commands.roles import opened
from db.sums import keep
from db.sums.ask import summed
from settings import Settings


def rebuild(settings: Settings) -> str:
    """Make the sums anew from what is kept; return in a sentence up to when they reach."""
    with opened(settings) as (database, _):
        keep.rebuild(database)
        with database.read() as session:
            until = summed(session).until
    if until is None:
        return "Nothing has come yet, so there is nothing to sum up."
    return f"Everything before {until:%Y-%m-%d %H:%M} UTC is summed up."
