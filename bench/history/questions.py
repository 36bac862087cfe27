"""The pages of the console that ask the database most, each with values by chance every time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from urllib.parse import urlencode

from bench.history.made import BUNDLES, FAMILY_NAMES, GIVEN_NAMES, SOURCES, YEARS
from console.pages.span import PRESETS

Address = Callable[[Random, datetime, int], str]
"""Makes an address, with a chance, the present, and how many studies there are."""
Value = str | Callable[[Random, datetime], str]
"""Of a query: what it is, or what makes it."""


@dataclass(frozen=True, slots=True)
class Question:
    """A page, and how its address is made."""

    name: str
    address: Address


def questions() -> list[Question]:
    """List the pages that are measured, in the order of the table."""
    return [
        *(question for name, query in _LISTS.items() for question in _worklist(name, query)),
        *_searches(),
        Question("a study", lambda chance, _, count: f"/studies/{chance.randrange(1, count + 1)}"),
        *_figures(),
    ]


def _source(chance: Random, _: datetime) -> str:
    return chance.choice(list(SOURCES))


def _station(chance: Random, _: datetime) -> str:
    return chance.choice([station for _, _, stations in SOURCES.values() for station in stations])


def _bundle(chance: Random, _: datetime) -> str:
    return chance.choice(BUNDLES)[0]


def _day(_: Random, now: datetime) -> str:
    return (now - timedelta(days=365)).date().isoformat()


def _later(_: Random, now: datetime) -> str:
    return (now - timedelta(days=335)).date().isoformat()


_ALL: dict[str, Value] = {"period": "all"}
_NEWEST: dict[str, Value] = {"period": "all", "order": "newest"}
_LISTS: dict[str, dict[str, Value]] = {
    "last 24 hours, likeliest first": {},
    "all time, likeliest first": _ALL,
    "all time, newest first": _NEWEST,
    "a source, newest first": {**_NEWEST, "source": _source},
    "a source, likeliest first": {**_ALL, "source": _source},
    "a station, likeliest first": {**_ALL, "station": _station},
    "a model version, newest first": {**_NEWEST, "model": _bundle},
    "a model version, likeliest first": {**_ALL, "model": _bundle},
    "opacity, newest first": {**_NEWEST, "finding": "opacity"},
    "not read, newest first": {**_NEWEST, "finding": "failed"},
    "open, likeliest first": {**_ALL, "state": "open"},
    "probability 0.4 to 0.5, newest first": {**_NEWEST, "min": "0.4", "max": "0.5"},
    "urgent, newest first": {**_NEWEST, "priority": "urgent"},
    "a month of films, likeliest first": {"from": _day, "to": _later},
    "a day of study dates, likeliest first": {**_ALL, "study_from": _day, "study_to": _day},
    "not delivered, newest first": {**_NEWEST, "delivered": "not"},
    "rejected by a destination, likeliest first": {
        **_ALL,
        "delivered": "rejected",
        "destination": "pacs",
    },
    "all delivered, newest first": {**_NEWEST, "delivered": "sent"},
    "yesterday, opacity, a source, not delivered": {
        "period": "yesterday",
        "finding": "opacity",
        "source": _source,
        "delivered": "not",
    },
    "30 days, a station, abnormal, from 0.1, newest first": {
        "period": "30d",
        "station": _station,
        "finding": "abnormal",
        "min": "0.1",
        "order": "newest",
    },
    "a source, a model version, normal, likeliest first": {
        **_ALL,
        "source": _source,
        "model": _bundle,
        "finding": "normal",
    },
}


def _worklist(name: str, query: dict[str, Value]) -> list[Question]:
    """A list's first page, and a page somewhere deep in it where it is over all time."""

    def first(chance: Random, now: datetime, _: int) -> str:
        given = {
            key: each if isinstance(each, str) else each(chance, now) for key, each in query.items()
        }
        return f"/?{urlencode(given)}"

    def deep(chance: Random, now: datetime, count: int) -> str:
        at = now - timedelta(days=365 * YEARS * chance.random())
        newest = query.get("order") == "newest"
        place = at.replace(tzinfo=None).isoformat() if newest else repr(chance.random() * 0.6)
        return f"{first(chance, now, count)}&{urlencode({'after': f'{place}~{count // 2}'})}"

    found = [Question(f"worklist: {name}", first)]
    if query.get("period") == "all":
        found.append(Question(f"worklist: {name}, deep", deep))
    return found


def _searches() -> list[Question]:
    def patient(chance: Random, _: datetime, count: int) -> str:
        return _search(f"P{chance.randrange(max(1, count // 2)):07}")

    def accession(chance: Random, _: datetime, count: int) -> str:
        return _search(f"A{chance.randrange(count):08}")

    def name(chance: Random, _: datetime, __: int) -> str:
        return _search(f"{chance.choice(FAMILY_NAMES)}, {chance.choice(GIVEN_NAMES)}")

    def beginning(chance: Random, _: datetime, __: int) -> str:
        return _search(chance.choice(FAMILY_NAMES)[:2])

    def nothing(chance: Random, _: datetime, __: int) -> str:
        return _search(f"nobody{chance.random()}")

    return [
        Question("search: a patient's id", patient),
        Question("search: an accession number", accession),
        Question("search: a patient's name", name),
        Question("search: how a name begins", beginning),
        Question("search: nothing fits", nothing),
    ]


def _figures() -> list[Question]:
    """The pages of monitoring, over periods of every length."""

    def month(chance: Random, now: datetime, _: int) -> str:
        query = {"from": _day(chance, now), "to": _later(chance, now)}
        return f"/monitoring?{urlencode({**query, 'source': _source(chance, now)})}"

    def station(chance: Random, now: datetime, _: int) -> str:
        source = _source(chance, now)
        query = {"period": "30d", "source": source, "station": SOURCES[source][2][0]}
        return f"/monitoring/model?{urlencode(query)}"

    pages = {"monitoring": "", "model": "/model", "another threshold": "/threshold"}
    return [
        *(
            Question(f"{name}: {period}", _fixed(f"/monitoring{path}?period={period}"))
            for name, path in pages.items()
            for period in PRESETS
        ),
        Question("monitoring: a month of a source", month),
        Question("model: 30 days of a station", station),
    ]


def _search(text: str) -> str:
    return f"/?{urlencode({'q': text})}"


def _fixed(address: str) -> Address:
    return lambda chance, now, count: address
