"""What a worklist's address asks for: a filter, an order, and a place in the list.

The address is the whole view: whoever is given it sees the same, in their own time zone.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from db.states import Priority, StudyState
from db.worklist import Delivered, Filter, Key, Order

POSITIVE = "opacity"
"""The finding that is told to others as positive."""


class Period(StrEnum):
    """When the first image of a study came."""

    HOURS = "24h"
    TODAY = "today"
    YESTERDAY = "yesterday"
    WEEK = "7d"
    MONTH = "30d"
    ALL = "all"


_LENGTHS = {
    Period.HOURS: timedelta(hours=24),
    Period.WEEK: timedelta(days=7),
    Period.MONTH: timedelta(days=30),
}

Probability = Annotated[float | None, Field(ge=0, le=1)]


class Asked(BaseModel):
    """The query of an address; what is empty is not asked for."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    q: str | None = Field(None, max_length=200)
    period: Period | None = None
    since: date | None = Field(None, alias="from")
    until: date | None = Field(None, alias="to")
    study_from: date | None = None
    study_to: date | None = None
    finding: Literal["opacity", "abnormal", "normal", "failed"] | None = None
    min: Probability = None
    max: Probability = None
    state: StudyState | None = None
    priority: Priority | None = None
    source: str | None = Field(None, max_length=16)
    station: str | None = Field(None, max_length=64)
    model: str | None = Field(None, max_length=128)
    delivered: Delivered | None = None
    destination: str | None = Field(None, max_length=96)
    order: Order | None = None
    after: str | None = Field(None, max_length=64)
    before: str | None = Field(None, max_length=64)

    @model_validator(mode="before")
    @classmethod
    def _empty_is_not_asked_for(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        return {key: value for key, value in values.items() if str(value).strip()}

    @field_validator("after", "before")
    @classmethod
    def _is_a_place(cls, value: str | None) -> str | None:
        if value is not None:
            read_key(value)
        return value

    @model_validator(mode="after")
    def _one_direction(self) -> Self:
        if self.after is not None and self.before is not None:
            raise ValueError("after and before exclude each other")
        return self

    @property
    def period_shown(self) -> Period | None:
        """The period in effect: the last day, but all time where something is searched for.

        None where dates are given.
        """
        if self.since is not None or self.until is not None:
            return None
        return self.period or (Period.ALL if self.q else Period.HOURS)

    @property
    def order_shown(self) -> Order:
        """The order in effect: the likeliest first; of what is searched for, the newest."""
        return self.order or (Order.NEWEST if self.q else Order.PROBABILITY)

    def filter(self, now: datetime, zone: ZoneInfo) -> Filter:
        """Return what is looked for at this moment; days are days of `zone`."""
        since, until = self._times(now, zone)
        return Filter(
            since=since,
            until=until,
            study_date_from=_dicom(self.study_from),
            study_date_to=_dicom(self.study_to),
            text=self.q,
            finding=self.finding,
            probability_min=self.min,
            probability_max=self.max,
            state=self.state,
            priority=self.priority,
            source_ae=self.source,
            station=self.station,
            bundle=self.model,
            delivered=self.delivered,
            destination=self.destination,
        )

    def href(self, path: str = "/", /, **changes: object) -> str:
        """Return the address of this view with changes, from its first page on."""
        values = {**self.model_dump(mode="json", by_alias=True), "after": None, "before": None}
        values |= changes
        query = urlencode({key: value for key, value in values.items() if value is not None})
        return f"{path}?{query}" if query else path

    def told(self) -> dict[str, str]:
        """Return what is asked for, as the audit trail keeps it."""
        values = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return {key: str(value) for key, value in values.items()}

    def _times(self, now: datetime, zone: ZoneInfo) -> tuple[datetime | None, datetime | None]:
        period = self.period_shown
        if period is None:
            since = None if self.since is None else _midnight(self.since, zone)
            until = None if self.until is None else _midnight(self.until + timedelta(1), zone)
            return since, until
        if period in _LENGTHS:
            return now - _LENGTHS[period], None
        today = now.astimezone(zone).date()
        if period is Period.TODAY:
            return _midnight(today, zone), None
        if period is Period.YESTERDAY:
            return _midnight(today - timedelta(1), zone), _midnight(today, zone)
        return None, None


AskedDep = Annotated[Asked, Query()]


def key_text(key: Key) -> str:
    """Write a place in an order as an address holds it."""
    value = key.value
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC).replace(tzinfo=None).isoformat()}~{key.study_id}"
    return f"{value!r}~{key.study_id}"


def read_key(text: str) -> Key:
    """Read what `key_text` wrote.

    Raises:
        ValueError: it is no such text.
    """
    value, mark, study_id = text.partition("~")
    if not mark or not study_id.isascii() or not study_id.isdecimal():
        raise ValueError("this is no place in the list; begin with its first page")
    if "T" in value:
        return Key(datetime.fromisoformat(value).replace(tzinfo=UTC), int(study_id))
    return Key(float(value), int(study_id))


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _dicom(day: date | None) -> str | None:
    return None if day is None else f"{day:%Y%m%d}"
