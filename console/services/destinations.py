"""Destinations: how each stands, whether it is there, and whether it gets anything for now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.orm import Session

from console.context import Context
from console.reach import Probe, probe, where
from console.security.audited import security_changed
from console.security.who import Who
from console.services.errors import MissingError
from db import pauses
from db.dialects import Turn, in_turn
from db.lanes import Lane, lanes
from settings import Destination


@dataclass(frozen=True, slots=True)
class Standing:
    """A destination: what is configured (None: nothing by this name any more), how it stands.

    `where` tells whom and where it is called, for people; "" where it is not.
    """

    name: str
    configured: Destination | None
    where: str
    lane: Lane


Known = Callable[[Standing], None]
"""Looks at a destination in the transaction that is to change it, and raises where it may not."""


def _as_it_is(_standing: Standing) -> None:
    """However it stands."""


def listed(context: Context) -> list[Standing]:
    """List the configured destinations; then others that something waits for, or was refused by."""
    with context.database.read() as session:
        return _listed(context, session)


def find(context: Context, name: str) -> Standing:
    """Return a destination of `listed`.

    Raises:
        MissingError: there is none of this name.
    """
    with context.database.read() as session:
        return _find(context, session, name)


def check(context: Context, name: str) -> Probe:
    """Ask a destination whether it is there (C-ECHO, or what its kind has in its place).

    Raises:
        MissingError: none of this name is configured.
    """
    configured = find(context, name).configured
    if configured is None:
        raise MissingError(f"Destination {name} is not configured any more.")
    return probe(configured, context.settings)


def pause(context: Context, who: Who, name: str, reason: str, *, known: Known = _as_it_is) -> None:
    """Send a destination nothing until it is resumed, if `known` lets it; what is for it waits.

    Raises:
        MissingError: there is none of this name.
    """
    why = reason.strip() or None
    with context.database.write() as session:
        in_turn(session, Turn.PAUSES)
        known(_find(context, session, name))
        now = context.database.now(session)
        new = pauses.pause(session, name, by=who.name, reason=why, now=now)
    if new:
        told = f"The destination is paused{': ' + why if why else ''}."
        security_changed(context, who, told, resource=name)


def resume(context: Context, who: Who, name: str, *, known: Known = _as_it_is) -> None:
    """Send a destination what waits for it, if `known` lets it; it need not be configured any more.

    Raises:
        MissingError: there is none of this name.
    """
    with context.database.write() as session:
        in_turn(session, Turn.PAUSES)
        known(_find(context, session, name))
        was_paused = pauses.resume(session, name, now=context.database.now(session))
    if was_paused:
        security_changed(context, who, "The destination is resumed.", resource=name)


def _listed(context: Context, session: Session) -> list[Standing]:
    configured = [each.name for each in context.settings.destinations]
    return [_standing(context, each) for each in lanes(session, configured)]


def _find(context: Context, session: Session, name: str) -> Standing:
    for each in _listed(context, session):
        if each.name == name:
            return each
    raise MissingError(f"There is no destination {name}.")


def _standing(context: Context, lane: Lane) -> Standing:
    configured = context.settings.destination(lane.destination)
    called = "" if configured is None else where(configured, context.settings)
    return Standing(lane.destination, configured, called, lane)
