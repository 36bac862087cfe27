"""What the report says of the data, in its own terms and order, each with its check."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from training.kaggle import findings as f
from training.kaggle.findings import Finding
from training.kaggle.survey import Survey
from training.tables import NORMAL, NOT_NORMAL


class Source(enum.StrEnum):
    """Where a claim comes from."""

    PRINTED = "printed"
    """The report says so."""
    ASSUMED = "assumed"
    """What the report did makes sense only if it holds."""
    ADDED = "added"
    """Not in the report; measured beside its claims."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A statement on the data, where it comes from, and how it is checked."""

    id: str
    source: Source
    said: str
    check: Callable[[Survey], Finding]


def judge(survey: Survey) -> list[tuple[Claim, Finding]]:
    """Check every claim."""
    return [(claim, claim.check(survey)) for claim in CLAIMS]


PRINTED, ASSUMED, ADDED = Source

CLAIMS = (
    Claim("films", PRINTED, "26,684 training films", f.exactly(26_684, lambda s: len(s.films))),
    Claim("test_films", PRINTED, "3,000 test films", f.test_films),
    Claim(
        "label_rows", PRINTED, "30,227 label rows", f.exactly(30_227, lambda s: len(s.label_rows))
    ),
    Claim("boxes", PRINTED, "9,555 boxes", f.exactly(9_555, lambda s: len(s.boxes))),
    Claim(
        "positives",
        PRINTED,
        "6,012 positive films",
        f.exactly(6_012, lambda s: int(s.films.target.sum())),
    ),
    Claim(
        "normal",
        PRINTED,
        "8,851 films Normal",
        f.exactly(8_851, lambda s: int((s.films.label == NORMAL).sum())),
    ),
    Claim(
        "not_normal",
        PRINTED,
        "11,821 films No Lung Opacity / Not Normal",
        f.exactly(11_821, lambda s: int((s.films.label == NOT_NORMAL).sum())),
    ),
    Claim(
        "opacity",
        ADDED,
        "Lung Opacity and Target 1 are the same films",
        f.same_films,
    ),
    Claim("third", PRINTED, "A third of the data is positive", f.third),
    Claim(
        "merge", PRINTED, "Merging the label files gives 7,402 duplicates, leaving 30,227", f.merge
    ),
    Claim("duplicates", ASSUMED, "The label data hold 7,402 duplicate rows", f.duplicates),
    Claim("single_valued", PRINTED, "25 metadata columns have a single value", f.single_valued),
    Claim("old_ages", PRINTED, "Some patients are above 100, up to 155 years", f.old_ages),
    Claim("view", PRINTED, "View position and class are strongly related", f.view),
    Claim("sex", ADDED, "Sex and class are hardly related", f.sex),
    Claim("age", ADDED, "Age and target are hardly related", f.age),
    Claim(
        "per_film",
        ADDED,
        "Boxes per positive film: 2,614 / 3,266 / 119 / 13 with 1 / 2 / 3 / 4",
        f.per_film,
    ),
    Claim("median_box", ADDED, "The median box is 217 × 298 px", f.median_box),
    Claim("one_box", ASSUMED, "One box describes a positive film", f.one_box),
    Claim(
        "one_box_films",
        PRINTED,
        "There are 4,500 positive films with one box each",
        f.one_box_films,
    ),
    Claim(
        "constant_box",
        ASSUMED,
        "IoU .1795 shows that the MobileNet regressor finds boxes",
        f.constant_box,
    ),
    Claim("balanced", PRINTED, "3,000 or 5,000 films per target can be drawn", f.balanced),
    Claim(
        "precision",
        ASSUMED,
        "CheXNet's precision of .7655 is to be expected on this data",
        f.precision,
    ),
    Claim("patients", ASSUMED, "A random split keeps training and test apart", f.patients),
)
"""Every claim, in the order of the report: counts, metadata, relations, boxes, what was drawn."""
