"""What control charts and shifts say, in plain sentences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from console.charts.figures import step_name
from console.pages.words import count, grey, percent
from db.sums.control import PSI_LARGE, Chart, Shift
from db.sums.drift import LEAST_BASELINE, Drift
from db.sums.periods import Length


@dataclass(frozen=True, slots=True)
class Said:
    """What is to be said of one station: a word with its mark, and sentences."""

    word: str
    mark: str
    sentences: tuple[str, ...]


def said_of(drift: Drift, length: Length) -> Said:
    """Say how one station's readings lie beside those before."""
    found = [
        *_beyond("The positive rate", drift.positives, length, percent),
        *_beyond("The mean grey of its films", drift.grey, length, grey),
        *_beyond("The spread of grey within its films", drift.spread, length, grey),
        *_shifted("probabilities", drift.probability_shift),
        *_shifted("mean greys", drift.grey_shift),
        *_shifted("spreads of grey", drift.spread_shift),
    ]
    if drift.is_outside:
        return Said("outside", "bad", tuple(found))
    judged = drift.positives is not None and any(each.judged for each in drift.positives.points)
    if not judged:
        few = (
            f"Too few films in a {length.value} to judge its positive rate:"
            " at least 5 positive and 5 other ones are to be expected."
        )
        return Said("too few", "none", (*found, few))
    if found:
        return Said("now and then", "note", tuple(found))
    if drift.by_itself:
        own = (
            f"This bundle has read {count(drift.films_before)} of its films before (fewer than"
            f" {LEAST_BASELINE}): the period is held against itself."
        )
        return Said("within limits", "good", (own,))
    return Said("within limits", "good", ())


def _beyond(
    what: str, chart: Chart | None, length: Length, label: Callable[[float], str]
) -> list[str]:
    outside = [] if chart is None else chart.outside
    if chart is None or not outside:
        return []
    last = outside[-1]
    assert last.value is not None
    judged = sum(point.judged for point in chart.points)
    steps = f"{length.value}s" if judged != 1 else length.value
    chance = "" if chart.is_beyond_chance else " So few may be chance."
    return [
        f"{what} left its limits in {len(outside)} of {judged} {steps}, last on"
        f" {step_name(last.start, length).removeprefix('week of ')}: {label(last.value)} in"
        f" {count(last.films)} films, limits {label(last.low)} to {label(last.high)}.{chance}"
    ]


def _shifted(what: str, shift: Shift | None) -> list[str]:
    if shift is None or not shift.is_moderate:
        return []
    how = "a large shift" if shift.psi >= PSI_LARGE else "a moderate shift"
    return [f"Its {what} are distributed otherwise than before: PSI {shift.psi:.2f}, {how}."]
