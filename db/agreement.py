"""How two that judge the same films agree."""

from __future__ import annotations


def cohens_kappa(both: int, first_only: int, second_only: int, neither: int) -> float | None:
    """Return Cohen's kappa (1960) of two yes-or-no findings from how often each was found.

    None where there is nothing, or where chance alone explains all of it.
    """
    total = both + first_only + second_only + neither
    if not total:
        return None
    first, second = (both + first_only) / total, (both + second_only) / total
    chance = first * second + (1 - first) * (1 - second)
    return None if chance == 1 else ((both + neither) / total - chance) / (1 - chance)
