"""What the tables of sums have in common: which columns name what is summed, how sums are added.

A sum is a plain dictionary of a table's columns, without `length` and `start`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from db.models import Base, DeliverySum, FilmSum, ReadingSum, ShadowSum, StudySum
from db.sums.histograms import GREY, GREY_SPREAD, PROBABILITY, SECONDS, Bins

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SumTable:
    """A table of sums: `keys` say of what, `numbers` are added, `histograms` have their bins."""

    model: type[Base]
    keys: tuple[str, ...]
    numbers: tuple[str, ...]
    histograms: Mapping[str, Bins]

    def total(self, rows: Iterable[Mapping[str, Any]]) -> list[Values]:
        """Add up the rows that are of the same."""
        groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
        for row in rows:
            groups.setdefault(tuple(row[key] for key in self.keys), []).append(row)
        return [
            {
                **dict(zip(self.keys, key, strict=True)),
                **{name: sum(row[name] for row in group) for name in self.numbers},
                **{
                    name: bins.add([row[name] for row in group])
                    for name, bins in self.histograms.items()
                },
            }
            for key, group in groups.items()
        ]


FILMS = SumTable(
    FilmSum, ("source", "station"), ("received", "bytes", "refused", "quarantined"), {}
)
READINGS = SumTable(
    ReadingSum,
    ("source", "station", "bundle"),
    (
        "readings",
        "positive",
        "measured",
        "grey_mean",
        "grey_mean_squares",
        "grey_spread",
        "grey_spread_squares",
    ),
    {
        "probability": PROBABILITY,
        "wait": SECONDS,
        "grey_mean_histogram": GREY,
        "grey_spread_histogram": GREY_SPREAD,
    },
)
STUDIES = SumTable(
    StudySum,
    ("source", "bundle"),
    ("studies", "failed"),
    {"positive": PROBABILITY, "negative": PROBABILITY},
)
DELIVERIES = SumTable(DeliverySum, ("destination",), ("sent", "rejected"), {"latency": SECONDS})
SHADOWS = SumTable(
    ShadowSum,
    ("active", "shadow"),
    (
        "both_positive",
        "active_only",
        "shadow_only",
        "both_negative",
        "difference",
        "absolute_difference",
        "not_read",
    ),
    {},
)
ALL = (FILMS, READINGS, STUDIES, DELIVERIES, SHADOWS)
