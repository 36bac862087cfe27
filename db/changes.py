"""Changes of peers and destinations that were made in the console; the latest of each holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.configuration import ConfigurationChange
from db.states import ChangeKind, ConfigurationPart
from settings.layers import Layer, Part

_PARTS: dict[ConfigurationPart, Part] = {
    ConfigurationPart.DESTINATION: "destinations",
    ConfigurationPart.PEER: "peers",
}


def last_id(session: Session) -> int:
    """Return the id of the latest change; 0: there is none."""
    return session.scalar(select(func.max(ConfigurationChange.id))) or 0


def holding(session: Session) -> Sequence[ConfigurationChange]:
    """List the latest change of each peer and destination, in the order that they were made in."""
    latest = select(func.max(ConfigurationChange.id)).group_by(
        ConfigurationChange.part, ConfigurationChange.name
    )
    query = select(ConfigurationChange).where(ConfigurationChange.id.in_(latest))
    return session.scalars(query.order_by(ConfigurationChange.id)).all()


def layers(session: Session) -> list[Layer]:
    """Return what lies over the file."""
    return [
        Layer(_PARTS[each.part], each.name, each.values)
        for each in holding(session)
        if each.kind is not ChangeKind.AS_FILE
    ]


def latest(session: Session, part: ConfigurationPart, name: str) -> ConfigurationChange | None:
    """Return the latest change of one; None where there has never been any."""
    return _latest(session, part, name, None)


def before(session: Session, change: ConfigurationChange) -> ConfigurationChange | None:
    """Return the change of the same one before this; None where the file held until then."""
    return _latest(session, change.part, change.name, change.id)


def history(session: Session, *, limit: int) -> Sequence[ConfigurationChange]:
    """List changes, newest first."""
    query = select(ConfigurationChange).order_by(ConfigurationChange.id.desc())
    return session.scalars(query.limit(limit)).all()


def record(
    session: Session,
    part: ConfigurationPart,
    name: str,
    kind: ChangeKind,
    *,
    values: Mapping[str, Any] | None,
    was: Mapping[str, str] | None,
    by: str,
    reason: str | None,
    now: datetime,
    undoes: int | None = None,
) -> ConfigurationChange:
    """Make a change; `was`: what held until now, as it may be shown."""
    made = ConfigurationChange(
        part=part,
        name=name,
        kind=kind,
        values=None if values is None else dict(values),
        before=None if was is None else dict(was),
        at=now,
        by=by,
        reason=reason,
        undoes=undoes,
    )
    session.add(made)
    session.flush()
    return made


def _latest(
    session: Session, part: ConfigurationPart, name: str, below: int | None
) -> ConfigurationChange | None:
    query = select(ConfigurationChange).where(
        ConfigurationChange.part == part, ConfigurationChange.name == name
    )
    if below is not None:
        query = query.where(ConfigurationChange.id < below)
    return session.scalar(query.order_by(ConfigurationChange.id.desc()).limit(1))
