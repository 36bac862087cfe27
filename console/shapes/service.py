"""The service as a whole, and who calls."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from console.shapes.base import Id, Moment, Said
from db.states import AlarmKind, TaskKind, TaskState, UserRole


class Me(Said):
    """Who calls, and how far that reaches in this call."""

    user_id: Id
    name: str = Field(examples=["ris"])
    role: UserRole
    token_id: int | None = Field(description="null: a browser that is logged in.", examples=[3])
    token_expires_at: Moment | None = Field(description="null: it does not, or there is none.")


class Tasks(Said):
    """What waits, is worked on, or was set aside."""

    kind: TaskKind
    state: TaskState
    count: int = Field(examples=[3])
    oldest: Moment


class Undelivered(Said):
    """What a destination has still to get."""

    destination: str = Field(examples=["pacs"])
    count: int = Field(examples=[2])
    oldest: Moment


class Alarm(Said):
    """Something that is wrong with the service."""

    kind: AlarmKind
    subject: str = Field(
        description="The destination that it is about; empty: the service.", examples=["pacs"]
    )
    sentence: str
    raised_at: Moment


class Health(Said):
    """How the service does."""

    status: Literal["ok", "alarm"] = Field(description="alarm: something is wrong, see `alarms`.")
    version: str = Field(examples=["0.1.0"])
    now: Moment
    free_bytes: int = Field(description="In the data folder.", examples=[52_000_000_000])
    open_studies: int = Field(description="With films that no report covers yet.", examples=[1])
    tasks: list[Tasks]
    undelivered: list[Undelivered]
    alarms: list[Alarm]
