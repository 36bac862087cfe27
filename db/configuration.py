"""The tables of what is administered in the console: destinations that are paused, and every
change of peers and destinations that was made there, which lies over what `hilum.toml` says.

No secret is kept: in its place stands where it is (`file:`, `env:`), or that the file has it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from db.base import IDS_ARE_USED_ONCE, Base
from db.columns import Id, UtcDateTime, enum_of
from db.states import ChangeKind, ConfigurationPart


class DestinationPause(Base):
    """A destination that gets nothing for now: what is for it waits, and nothing is lost."""

    __tablename__ = "destination_pause"

    destination: Mapped[str] = mapped_column(String(96), primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    by: Mapped[str] = mapped_column(String(128))
    reason: Mapped[str | None] = mapped_column(Text)


class ConfigurationChange(Base):
    """One change of a peer or destination; the latest one of each holds. Never changed itself."""

    __tablename__ = "configuration_change"
    __table_args__ = (
        Index("ix_configuration_change_part_name", "part", "name", "id"),
        IDS_ARE_USED_ONCE,
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=True)
    part: Mapped[ConfigurationPart] = mapped_column(enum_of(ConfigurationPart))
    name: Mapped[str] = mapped_column(String(128))
    """What tells it from others of its part: a destination's name, a peer's `AE@network`."""
    kind: Mapped[ChangeKind] = mapped_column(enum_of(ChangeKind))
    values: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """The keys that were set; None where it is removed, or as the file has it."""
    before: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """What held until then, secrets masked; None where there was none."""
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    by: Mapped[str] = mapped_column(String(128))
    reason: Mapped[str | None] = mapped_column(Text)
    undoes: Mapped[int | None] = mapped_column(BigInteger)
    """The id of the change that this one takes back."""
