"""How the bundle in shadow agreed with the active one over a period."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from db.agreement import cohens_kappa
from db.sums.ask import Row, Summed, rows
from db.sums.periods import Period
from db.sums.tables import SHADOWS


@dataclass(frozen=True, slots=True)
class Agreement:
    """Films that two bundles read, by what each found at its own operating point.

    Differences are shadow less active, of the calibrated probability of pneumonia.
    """

    active: str
    shadow: str
    both_positive: int
    active_only: int
    shadow_only: int
    both_negative: int
    mean_difference: float | None
    mean_absolute_difference: float | None
    not_read: int

    @property
    def films(self) -> int:
        """How many films both have read."""
        return self.both_positive + self.active_only + self.shadow_only + self.both_negative

    @property
    def agreement(self) -> float | None:
        """The share of films that both found the same of."""
        return (self.both_positive + self.both_negative) / self.films if self.films else None

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa (1960); None where chance alone explains all agreement."""
        return cohens_kappa(
            self.both_positive, self.active_only, self.shadow_only, self.both_negative
        )


def agreements(session: Session, period: Period, known: Summed) -> list[Agreement]:
    """Compare every pair of bundles that was asked about the same films."""
    pairs: dict[tuple[str, str], list[Row]] = {}
    for row in rows(session, SHADOWS, period, known):
        pairs.setdefault((row["active"], row["shadow"]), []).append(row)
    return [_agreement(*pair, found) for pair, found in sorted(pairs.items())]


def _agreement(active: str, shadow: str, found: list[Row]) -> Agreement:
    total = {name: sum(row[name] for row in found) for name in SHADOWS.numbers}
    films = sum(
        total[name] for name in ("both_positive", "active_only", "shadow_only", "both_negative")
    )
    return Agreement(
        active,
        shadow,
        total["both_positive"],
        total["active_only"],
        total["shadow_only"],
        total["both_negative"],
        total["difference"] / films if films else None,
        total["absolute_difference"] / films if films else None,
        total["not_read"],
    )
