"""Destinations: how each stands, whether it is there, and whether it gets anything for now."""

from __future__ import annotations

from dataclasses import dataclass

from console.context import Context
from console.reach import Probe, probe, where
from console.security.audited import security_changed
from console.security.who import Who
from console.services.errors import MissingError
from db import pauses
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


def listed(context: Context) -> list[Standing]:
    """List the configured destinations; then others that something waits for, or was refused by."""
    configured = [each.name for each in context.settings.destinations]
    with context.database.read() as session:
        found = lanes(session, configured)
    return [_standing(context, each) for each in found]


def find(context: Context, name: str) -> Standing:
    """Return a destination of `listed`.

    Raises:
        MissingError: there is none of this name.
    """
    for each in listed(context):
        if each.name == name:
            return each
    raise MissingError(f"There is no destination {name}.")


def check(context: Context, name: str) -> Probe:
    """Ask a destination whether it is there (C-ECHO, or what its kind has in its place).

    Raises:
        MissingError: none of this name is configured.
    """
    configured = find(context, name).configured
    if configured is None:
        raise MissingError(f"Destination {name} is not configured any more.")
    return probe(configured, context.settings)


def pause(context: Context, who: Who, name: str, reason: str) -> None:
    """Send a destination nothing until it is resumed; what is for it waits.

    Raises:
        MissingError: there is none of this name.
    """
    find(context, name)
    why = reason.strip() or None
    with context.database.write() as session:
        now = context.database.now(session)
        new = pauses.pause(session, name, by=who.name, reason=why, now=now)
    if new:
        told = f"The destination is paused{': ' + why if why else ''}."
        security_changed(context, who, told, resource=name)


def resume(context: Context, who: Who, name: str) -> None:
    """Send a destination what waits for it; it need not be configured any more."""
    with context.database.write() as session:
        was_paused = pauses.resume(session, name, now=context.database.now(session))
    if was_paused:
        security_changed(context, who, "The destination is resumed.", resource=name)


def _standing(context: Context, lane: Lane) -> Standing:
    configured = context.settings.destination(lane.destination)
    called = "" if configured is None else where(configured, context.settings)
    return Standing(lane.destination, configured, called, lane)
