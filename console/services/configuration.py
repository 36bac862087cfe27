"""Peers and destinations, as they are changed here: each change is a row, and can be taken back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from console.context import Context
from console.security.audited import security_changed
from console.security.who import Who
from console.services.errors import InvalidError, MissingError, OutdatedError, RefusedError
from console.services.told import flat, keys_of
from console.services.values import PARTS, Item, checked, kept
from db import changes, queue
from db.configuration import ConfigurationChange
from db.dialects import Turn, in_turn
from db.states import ChangeKind, ConfigurationPart, TaskKind
from settings import Destination, Loaded, SettingsError
from settings.layers import AS_FILE, is_locked, name_of, printable, with_layers


@dataclass(frozen=True, slots=True)
class Configured:
    """A peer or destination: as it holds now, as the file has it, and its latest change here.

    `now` is None where it was removed here. `version` is the id of its latest change, 0 where there
    is none: who changes it shows that no other change came between.
    """

    part: ConfigurationPart
    name: str
    now: Item | None
    file: Item | None
    change: ConfigurationChange | None

    @property
    def version(self) -> int:
        """The id of the latest change."""
        return 0 if self.change is None else self.change.id

    @property
    def is_changed(self) -> bool:
        """Whether it is otherwise here than in the file."""
        return self.change is not None and self.change.kind is not ChangeKind.AS_FILE


def locked(context: Context, part: ConfigurationPart) -> str | None:
    """Say why nothing of a part can be changed here; None where it can."""
    origin = is_locked(context.live.base, PARTS[part])
    if origin is None:
        return None
    return f"{PARTS[part]} are set by {origin}, which is stronger than what is changed here."


def listed(context: Context, part: ConfigurationPart) -> list[Configured]:
    """List the peers or destinations that hold; then those that were removed here."""
    now = {name_of(each): each for each in _items(context.live.loaded, part)}
    file = {name_of(each): each for each in _items(context.live.base, part)}
    with context.database.read() as session:
        held = {each.name: each for each in changes.holding(session) if each.part is part}
    removed = [name for name in file if name not in now]
    return [
        Configured(part, name, now.get(name), file.get(name), held.get(name))
        for name in (*now, *removed)
    ]


def find(context: Context, part: ConfigurationPart, name: str) -> Configured:
    """Return one of `listed`.

    Raises:
        MissingError: there is none of this name.
    """
    for each in listed(context, part):
        if each.name == name:
            return each
    raise MissingError(f"There is no {part.value} {name}.")


def save(
    context: Context,
    who: Who,
    part: ConfigurationPart,
    values: Mapping[str, Any],
    *,
    name: str | None,
    version: int,
    reason: str = "",
) -> str:
    """Set a peer or destination as `values` say, or add one (`name` None); return its name.

    A secret is `file:` or `env:`, or the mark that it stays as the file has it. Where a peer gets
    another AE title or network, that removes the one and adds the other.

    Raises:
        InvalidError: a value does not fit.
        OutdatedError: it was changed since `version`.
        RefusedError: nothing of this part can be changed here, or the new name is taken.
    """
    _require_open(context, part)
    old = None if name is None else find(context, part, name)
    item = checked(context, part, values, None if old is None else old.file)
    made = name_of(item)
    if made != name and any(each.name == made and each.now for each in listed(context, part)):
        raise InvalidError({"": f"There is a {part.value} {made} already."})
    new_values = kept(item, values)
    if old is not None and made != old.name and AS_FILE in flat(new_values).values():
        raise InvalidError(
            {"": "With another name it needs secrets of its own; name where they are."}
        )
    new = old if old is not None and made == old.name else _absent(context, part, made)
    with context.database.write() as session:
        if old is not None:
            _require_version(session, old, version)
        if new is not old:
            _require_version(session, new, new.version)
        if old is not None and new is not old:
            _record(context, session, who, old, ChangeKind.REMOVED, None, reason)
        _record(context, session, who, new, ChangeKind.SET, new_values, reason)
        _require_whole(context, session)
        if part is ConfigurationPart.DESTINATION:
            now = context.database.now(session)
            queue.hurry(session, TaskKind.DELIVER, made, now=now)
    _taken_up(context, who, part, made, "added" if name is None else "changed", reason)
    return made


def keeping(
    context: Context, part: ConfigurationPart, name: str, values: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Return values of one with what stays as it is: the name and kind of a destination.

    Raises:
        MissingError: there is none of this name.
        InvalidError: the values say otherwise.
    """
    found = find(context, part, name)
    item = found.now or found.file
    if not isinstance(item, Destination):
        return values
    stays = {"kind": item.kind, "name": item.name}
    wrong = {
        key: f"the {key} of a destination stays; remove it and add another one"
        for key, value in stays.items()
        if values.get(key, value) != value
    }
    if wrong:
        raise InvalidError(wrong)
    return {**stays, **values}


def remove(
    context: Context, who: Who, part: ConfigurationPart, name: str, *, version: int, reason: str
) -> None:
    """Have one not be there, whatever the file says.

    Raises:
        MissingError, OutdatedError, RefusedError: see `save`.
    """
    _change(context, who, part, name, ChangeKind.REMOVED, version, reason, "removed")


def reset(
    context: Context, who: Who, part: ConfigurationPart, name: str, *, version: int, reason: str
) -> int:
    """Have one as the file has it again; return the id of that change.

    Raises:
        MissingError, OutdatedError, RefusedError: see `save`.
    """
    return _change(
        context, who, part, name, ChangeKind.AS_FILE, version, reason, "as the file has it"
    )


def undo(context: Context, who: Who, change_id: int, reason: str) -> int:
    """Take a change back: what held before it holds again. Returns the id of that change.

    Raises:
        OutdatedError: the same one was changed again since.
        MissingError, RefusedError: see `save`.
    """
    with context.database.read() as session:
        change = session.get(ConfigurationChange, change_id)
        before = None if change is None else changes.before(session, change)
    if change is None:
        raise MissingError("There is no such change.")
    _require_open(context, change.part)
    try:
        found = find(context, change.part, change.name)
    except MissingError:
        found = _absent(context, change.part, change.name)
    with context.database.write() as session:
        _require_version(session, found, change_id)
        kind = ChangeKind.AS_FILE if before is None else before.kind
        values = None if before is None else before.values
        made = _record(context, session, who, found, kind, values, reason, undoes=change_id)
        _require_whole(context, session)
    _taken_up(context, who, change.part, change.name, f"as before change {change_id}", reason)
    return made


def _items(loaded: Loaded, part: ConfigurationPart) -> Sequence[Item]:
    found: Sequence[Item] = getattr(loaded.settings, PARTS[part])
    return found


def _absent(context: Context, part: ConfigurationPart, name: str) -> Configured:
    """Return what is known of one that is not there now."""
    file = {name_of(each): each for each in _items(context.live.base, part)}
    with context.database.read() as session:
        return Configured(part, name, None, file.get(name), changes.latest(session, part, name))


def _change(
    context: Context,
    who: Who,
    part: ConfigurationPart,
    name: str,
    kind: ChangeKind,
    version: int,
    reason: str,
    told: str,
) -> int:
    _require_open(context, part)
    found = find(context, part, name)
    with context.database.write() as session:
        _require_version(session, found, version)
        made = _record(context, session, who, found, kind, None, reason)
        _require_whole(context, session)
    _taken_up(context, who, part, name, told, reason)
    return made


def _require_open(context: Context, part: ConfigurationPart) -> None:
    if (why := locked(context, part)) is not None:
        raise RefusedError(why)


def _require_version(session: Session, found: Configured, version: int) -> None:
    in_turn(session, Turn.CONFIGURATION)
    latest = changes.latest(session, found.part, found.name)
    if (0 if latest is None else latest.id) != version:
        raise OutdatedError(
            f"{found.name} was changed by somebody else meanwhile. Look at it anew, and try again."
        )


def _require_whole(context: Context, session: Session) -> None:
    """Make sure that the whole configuration fits with what the transaction changes.

    Raises:
        InvalidError: it does not; the transaction is rolled back.
    """
    session.flush()
    try:
        with_layers(context.live.base, changes.layers(session))
    except SettingsError as error:
        raise InvalidError({"": str(error)}) from None


def _record(
    context: Context,
    session: Session,
    who: Who,
    found: Configured,
    kind: ChangeKind,
    values: Mapping[str, Any] | None,
    reason: str,
    *,
    undoes: int | None = None,
) -> int:
    """Record a change; return its id."""
    made = changes.record(
        session,
        found.part,
        found.name,
        kind,
        values=values,
        was=None if found.now is None else printable(found.now),
        by=who.name,
        reason=reason.strip() or None,
        now=context.database.now(session),
        undoes=undoes,
    )
    session.flush()
    return made.id


def _taken_up(
    context: Context, who: Who, part: ConfigurationPart, name: str, what: str, reason: str
) -> None:
    """Have this process go by the change at once, and tell the audit trail."""
    context.live.take_up()
    with context.database.read() as session:
        change = changes.latest(session, part, name)
    keys = [] if change is None else keys_of(change)
    told = "; ".join(f"{key}: {was or '-'} -> {now or '-'}" for key, was, now in keys)
    why = f" ({reason.strip()})" if reason.strip() else ""
    security_changed(
        context,
        who,
        f"The {part.value} is {what}{why}.",
        resource=name,
        details={"Changed": told} if told else None,
    )
