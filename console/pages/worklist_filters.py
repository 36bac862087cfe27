"""What the worklist offers to look for: quick filters of one click, and fields for the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from console.pages.asked import POSITIVE, Asked, Period
from db import worklist
from db.worklist import Delivered, Order
from settings import Settings

_MOST_CHIPS = 8
"""More sources than these are chosen from a list."""


@dataclass(frozen=True, slots=True)
class Chip:
    """A quick filter: where it leads, and whether it is on."""

    label: str
    href: str
    on: bool
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Quick filters that exclude each other."""

    title: str
    chips: Sequence[Chip]


@dataclass(frozen=True, slots=True)
class Choices:
    """What there is to choose from in lists."""

    sources: Sequence[str]
    stations: Sequence[str]
    models: Sequence[str]
    destinations: Sequence[str]


def choices(session: Session, settings: Settings) -> Choices:
    """Return what studies can be chosen by: what there is, and what is configured."""
    configured = [each.name for each in settings.destinations]
    waiting = worklist.waiting_destinations(session)
    return Choices(
        sorted({*worklist.sources(session), *settings.sources}),
        worklist.stations(session),
        worklist.bundles(session),
        sorted({*configured, *waiting}),
    )


def groups(asked: Asked, found: Choices) -> list[Group]:
    """Return the quick filters. A click on one that is on takes it back."""
    return [
        Group("Received", [_period(asked, label, each) for label, each in _PERIODS]),
        Group("Show", _shown(asked)),
        *([Group("From", _sources(asked, found))] if 1 < len(found.sources) <= _MOST_CHIPS else []),
    ]


def orders(asked: Asked) -> list[Chip]:
    """Return what the list can be ordered by."""
    return [
        Chip(label, asked.href(order=order.value), asked.order_shown is order)
        for label, order in (
            ("Highest probability first", Order.PROBABILITY),
            ("Newest first", Order.NEWEST),
        )
    ]


def others(asked: Asked, found: Choices) -> list[Chip]:
    """Return what is looked for beyond the quick filters; a click takes it back."""
    words = {
        "q": ("Search", asked.q),
        "from": ("Received from", asked.since),
        "to": ("Received to", asked.until),
        "study_from": ("Study date from", asked.study_from),
        "study_to": ("Study date to", asked.study_to),
        "min": ("Probability from", asked.min),
        "max": ("Probability to", asked.max),
        "state": ("State", asked.state and asked.state.value),
        "priority": ("Priority", asked.priority and asked.priority.value),
        "station": ("Station", asked.station),
        "model": ("Model", asked.model),
        "destination": ("Destination", asked.destination),
    }
    if asked.finding not in (None, POSITIVE):
        words["finding"] = ("Finding", asked.finding)
    if asked.delivered not in (None, Delivered.NOT):
        words["delivered"] = ("Delivery", asked.delivered and asked.delivered.value)
    if len(found.sources) > _MOST_CHIPS or (asked.source and asked.source not in found.sources):
        words["source"] = ("Source", asked.source)
    return [
        Chip(f"{title}: {value}", asked.href("/", **{key: None}), True)
        for key, (title, value) in words.items()
        if value is not None
    ]


_PERIODS = (
    ("24 hours", Period.HOURS),
    ("Today", Period.TODAY),
    ("Yesterday", Period.YESTERDAY),
    ("7 days", Period.WEEK),
    ("30 days", Period.MONTH),
    ("All", Period.ALL),
)


def _period(asked: Asked, label: str, period: Period) -> Chip:
    dates: dict[str, object] = {"from": None, "to": None}
    href = asked.href("/", period=period.value, **dates)
    return Chip(label, href, asked.period_shown is period)


def _shown(asked: Asked) -> list[Chip]:
    present = (asked.finding, asked.delivered)
    kinds: tuple[tuple[str, tuple[str | None, Delivered | None]], ...] = (
        ("Everything", (None, None)),
        ("Positive", (POSITIVE, None)),
        ("Not delivered", (None, Delivered.NOT)),
        ("Positive, not delivered", (POSITIVE, Delivered.NOT)),
    )
    return [
        Chip(
            label,
            asked.href(finding=finding, delivered=delivered and delivered.value),
            present == (finding, delivered),
        )
        for label, (finding, delivered) in kinds
    ]


def _sources(asked: Asked, found: Choices) -> list[Chip]:
    anywhere = Chip("Anywhere", asked.href(source=None), asked.source is None)
    return [
        anywhere,
        *(Chip(each, asked.href(source=each), asked.source == each) for each in found.sources),
    ]
