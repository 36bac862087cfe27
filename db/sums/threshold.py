"""What another threshold would have changed of what studies were found to have."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy.orm import Session

from db.sums.ask import Row, Summed, rows
from db.sums.histograms import PROBABILITY, Counts, at_or_above
from db.sums.periods import Period
from db.sums.tables import STUDIES

STEP = 0.001
"""Thresholds have three decimals: so counts are exact."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The studies of one source (or all: "") by the probability of their latest report.

    `positive` and `negative` count the probabilities of those with and without an opacity, as it
    was found at the threshold of the time. `without` have no probability: none of their films could
    be read, or they wait for their report.
    """

    source: str
    studies: int
    without: int
    positive: Counts
    negative: Counts

    def at(self, threshold: float) -> WhatIf:
        """Tell what a threshold (0 to 1, three decimals) would have changed."""
        found = int(self.positive.sum())
        kept = at_or_above(self.positive, threshold)
        added = at_or_above(self.negative, threshold)
        return WhatIf(
            self.source, found + int(self.negative.sum()), found, added, found - kept, kept + added
        )


@dataclass(frozen=True, slots=True)
class WhatIf:
    """Of `studies` with a probability, `positive` had an opacity.

    At another threshold `gained` more would have had one, `lost` would have had none, and
    `then_positive` had one in all.
    """

    source: str
    studies: int
    positive: int
    gained: int
    lost: int
    then_positive: int


def standings(
    session: Session, period: Period, known: Summed, *, bundle: str | None = None
) -> list[Standing]:
    """Return the studies that began to come in a period: all first, then by source.

    `bundle`: only those whose latest report names it.
    """
    where = {"bundle": bundle} if bundle else {}
    found = rows(session, STUDIES, period, known, where=where)
    sources: dict[str, list[Row]] = {}
    for row in found:
        sources.setdefault(row["source"], []).append(row)
    return [
        _standing("", found),
        *(_standing(source, of_it) for source, of_it in sorted(sources.items())),
    ]


def _standing(source: str, found: Iterable[Row]) -> Standing:
    found = list(found)
    positive = PROBABILITY.unpack(row["positive"] for row in found)
    negative = PROBABILITY.unpack(row["negative"] for row in found)
    studies = sum(row["studies"] for row in found)
    without = studies - int(positive.sum()) - int(negative.sum())
    return Standing(source, studies, without, positive, negative)
