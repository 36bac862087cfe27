"""What was changed of peers and destinations, as lists and the audit trail tell it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from console.context import Context
from db import changes
from db.configuration import ConfigurationChange
from db.states import ChangeKind
from settings.layers import AS_FILE


@dataclass(frozen=True, slots=True)
class Told:
    """A change as lists show it: each key with what it was and what it became (None: nothing).

    `may_be_undone`: no later one of the same peer or destination came after it.
    """

    change: ConfigurationChange
    keys: Sequence[tuple[str, str | None, str | None]]
    may_be_undone: bool


def history(context: Context, limit: int = 50) -> list[Told]:
    """List what was changed, newest first."""
    with context.database.read() as session:
        found = changes.history(session, limit=limit)
        latest = {each.id for each in changes.holding(session)}
    return [Told(each, keys_of(each), each.id in latest) for each in found]


def one(context: Context, change_id: int) -> Told:
    """Return one of them."""
    with context.database.read() as session:
        found = session.get_one(ConfigurationChange, change_id)
        latest = changes.latest(session, found.part, found.name)
    return Told(found, keys_of(found), latest is not None and latest.id == change_id)


def keys_of(change: ConfigurationChange) -> list[tuple[str, str | None, str | None]]:
    """Set what was beside what became of it, key by key, where that differs."""
    was = change.before or {}
    if change.kind is ChangeKind.AS_FILE:
        return []
    now = flat(change.values or {})
    keys = dict.fromkeys((*was, *now))
    return [
        (key, was.get(key), now.get(key))
        for key in keys
        if was.get(key) != now.get(key) and now.get(key) != AS_FILE
    ]


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested values as text by dotted key."""
    found: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            found[prefix + key] = ", ".join(map(str, value))
        else:
            found[prefix + key] = str(value).lower() if isinstance(value, bool) else str(value)
    return found
