"""What the data at hand say to each claim of the report."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from training.kaggle import measures
from training.kaggle.check import FULL_SET
from training.kaggle.survey import Survey
from training.tables import LUNG_OPACITY


class Verdict(enum.StrEnum):
    """What the data at hand say to a claim."""

    HOLDS = "holds"
    FAILS = "does not hold"
    UNTOLD = "cannot be told"
    """The data at hand lack what it takes; the value says what."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A claim's verdict, what was measured, and what follows."""

    verdict: Verdict
    value: str
    remark: str = ""


def exactly(expected: int, count: Callable[[Survey], int]) -> Callable[[Survey], Finding]:
    """Hold a count against the report's, which is of the complete set."""

    def check(survey: Survey) -> Finding:
        found = count(survey)
        if not survey.is_complete:
            return Finding(Verdict.UNTOLD, f"{found:,} here", "This is a part of the set.")
        return Finding(_verdict(found == expected), f"{found:,}")

    return check


def test_films(survey: Survey) -> Finding:
    if survey.test_films is None:
        return Finding(Verdict.UNTOLD, "tables alone", "The test films have no table.")
    return exactly(FULL_SET.test_films, lambda s: s.test_films or 0)(survey)


def merge(survey: Survey) -> Finding:
    merge = measures.naive_merge(survey)
    value = f"{merge.rows:,} rows, {merge.duplicates:,} duplicates, {merge.left:,} left"
    if not survey.is_complete:
        return Finding(Verdict.UNTOLD, value, "This is a part of the set.")
    return Finding(_verdict((merge.rows, merge.duplicates) == (37_629, 7_402)), value)


def duplicates(survey: Survey) -> Finding:
    repeated = sum(n - 1 for n in Counter(survey.label_rows).values())
    merge = measures.naive_merge(survey)
    return Finding(
        _verdict(repeated == merge.duplicates > 0),
        f"{repeated:,} repeated rows in the label file",
        "The merge makes them: a film with n boxes has n rows in each file, and n × n when they"
        " are joined on patientId.",
    )


def same_films(survey: Survey) -> Finding:
    films = survey.films
    differ = int(((films.label == LUNG_OPACITY) != (films.target == 1)).sum())
    return Finding(_verdict(differ == 0), f"{differ:,} differ")


def third(survey: Survey) -> Finding:
    share = measures.positive_share(survey.films, np.ones(len(survey.films), bool))
    rows = measures.Share(sum(row.target for row in survey.label_rows), len(survey.label_rows))
    return Finding(
        _verdict(abs(share.value - 1 / 3) < 0.02),
        f"{_percent(rows)} of the rows, {_percent(share)} of the films",
        "Positive films have a row per box, so rows count them more than once.",
    )


def single_valued(survey: Survey) -> Finding:
    single = len(survey.constant)
    value = f"{single} of {len(survey.distinct)} columns"
    if not survey.paths:
        return Finding(Verdict.UNTOLD, value, "The header table has only some of the attributes.")
    flags = sum(name.startswith("Multi") for name in survey.constant)
    return Finding(
        _verdict(single == 25),
        value,
        f"{single - flags} attributes, and {flags} flag that Pixel Spacing has two values.",
    )


def old_ages(survey: Survey) -> Finding:
    films = survey.films
    old = films.age > 100
    if not old.any():
        value = "none"
        return Finding(_part_or_fails(survey), value, "The report's ages go up to 155 years.")
    ages = ", ".join(f"{age:.0f}" for age in sorted(films.age[old]))
    revised = films.revised_age[old]
    remark = "Nobody is that old: take these ages as unknown."
    if np.isfinite(revised).all():
        truth = ", ".join(f"{age:.0f}" for age in revised[np.argsort(films.age[old])])
        remark = f"Errors of entry: NIH's revision of 2020 gives {truth}."
    return Finding(_verdict(films.age.max() == 155), f"{old.sum()} films: {ages}", remark)


def per_film(survey: Survey) -> Finding:
    counts = measures.boxes_per_film(survey)
    numbers = [int((counts == n).sum()) for n in (1, 2, 3, 4)]
    value = ", ".join(f"{n}: {k:,}" for n, k in enumerate(numbers, start=1))
    if not survey.is_complete:
        return Finding(Verdict.UNTOLD, value, "This is a part of the set.")
    return Finding(_verdict(numbers == [2_614, 3_266, 119, 13]), value)


def one_box(survey: Survey) -> Finding:
    counts = measures.boxes_per_film(survey)
    positive = counts[counts > 0]
    if not len(positive):
        return Finding(Verdict.UNTOLD, "no boxes")
    several = measures.Share(int((positive > 1).sum()), len(positive))
    dropped = measures.Share(int((positive - 1).sum()), int(positive.sum()))
    return Finding(
        _verdict(several.value < 0.05),
        f"{_percent(several)} of the positive films have more",
        f"One box per film drops {dropped.count:,} of {dropped.of:,} boxes ({_percent(dropped)}).",
    )


def one_box_films(survey: Survey) -> Finding:
    single = int((measures.boxes_per_film(survey) == 1).sum())
    if not survey.is_complete:
        return Finding(Verdict.UNTOLD, f"{single:,} here", "This is a part of the set.")
    return Finding(
        _verdict(single >= 4_500),
        f"{single:,} films have exactly one",
        f"Of 4,500 films at least {4_500 - single:,} lose boxes that are there.",
    )


def median_box(survey: Survey) -> Finding:
    boxes = survey.boxes
    if not len(boxes):
        return Finding(Verdict.UNTOLD, "no boxes")
    size = float(np.median(boxes.width)), float(np.median(boxes.height))
    value = f"{size[0]:.0f} × {size[1]:.0f} px"
    if not survey.is_complete:
        return Finding(Verdict.UNTOLD, value, "This is a part of the set.")
    return Finding(_verdict(size == (217.0, 298.0)), value)


def constant_box(survey: Survey) -> Finding:
    if not len(survey.boxes):
        return Finding(Verdict.UNTOLD, "no boxes")
    box, iou = measures.constant_box(survey.boxes)
    return Finding(
        _verdict(iou < 0.1795),
        f"a constant box scores {iou:.3f}",
        f"Always x {box[0]}, y {box[1]}, width {box[2]}, height {box[3]}, whatever the film;"
        " DenseNet121's 0.2265 is to be seen beside this, too.",
    )


def balanced(survey: Survey) -> Finding:
    positives = int(survey.films.target.sum())
    if not survey.is_complete:
        return Finding(Verdict.UNTOLD, f"{positives:,} positive films", "A part of the set.")
    share = measures.positive_share(survey.films, np.ones(len(survey.films), bool))
    return Finding(
        _verdict(positives >= 5_000),
        f"{positives:,} positive films",
        f"Half of those drawn are positive then, not {_percent(share)}: accuracy and precision"
        " are of that mix.",
    )


def precision(survey: Survey) -> Finding:
    share = measures.positive_share(survey.films, np.ones(len(survey.films), bool))
    there = measures.precision_at(506 / 600, 445 / 600, share.value)
    return Finding(
        _verdict(abs(there - 0.7655) < 0.02),
        f"{there:.2f} at {_percent(share)} positives",
        "By Bayes' rule from its sensitivity .843 and specificity .742, which follow from the"
        " report's figures.",
    )


def view(survey: Survey) -> Finding:
    films = survey.films
    shares = {view: measures.positive_share(films, films.view == view) for view in ("AP", "PA")}
    if not all(share.of for share in shares.values()):
        return Finding(Verdict.UNTOLD, "one view only")
    strength = measures.cramers_v(measures.cross(films.view, ("AP", "PA"), films.label, 3))
    return Finding(
        _verdict(strength >= 0.3),
        f"positive: AP {_percent(shares['AP'])}, PA {_percent(shares['PA'])}; Cramér's V"
        f" {strength:.2f}",
        "AP films are mostly of patients too ill to stand: a network can score by the view alone,"
        " so figures belong apart by view.",
    )


def sex(survey: Survey) -> Finding:
    films = survey.films
    shares = {sex: measures.positive_share(films, films.sex == sex) for sex in ("M", "F")}
    if not all(share.of for share in shares.values()):
        return Finding(Verdict.UNTOLD, "one sex only")
    strength = measures.cramers_v(measures.cross(films.sex, ("M", "F"), films.label, 3))
    return Finding(
        _verdict(strength < 0.1),
        f"positive: men {_percent(shares['M'])}, women {_percent(shares['F'])}; Cramér's V"
        f" {strength:.2f}",
    )


def age(survey: Survey) -> Finding:
    films = survey.films
    sound = np.where(films.age <= 100, films.age, np.nan)
    r = measures.correlation(sound, films.target.astype(float))
    if not np.isfinite(r):
        return Finding(Verdict.UNTOLD, "ages or targets are all the same")
    medians = [float(np.nanmedian(sound[films.target == target])) for target in (1, 0)]
    return Finding(
        _verdict(abs(r) < 0.1),
        f"r = {r:+.2f}; median {medians[0]:.0f} years positive, {medians[1]:.0f} negative",
    )


def patients(survey: Survey) -> Finding:
    known = survey.films.patient[survey.films.patient != ""]
    if not len(known):
        return Finding(Verdict.UNTOLD, "no NIH patients known", "nih_patients.csv tells them.")
    patients = len(np.unique(known))
    shared = measures.shared_patients(survey.films)
    drawn = ""
    if survey.is_complete:
        of_6_000 = measures.shared_patients(survey.films, per_target=3_000)
        drawn = f"Of 6,000 films, 3,000 per target, it is {_percent(of_6_000)}. "
    return Finding(
        _verdict(shared.value < 0.01),
        f"{len(known):,} films of {patients:,} NIH patients; {_percent(shared)} of test films"
        " have their patient in training",
        f"{drawn}A patientId is a film, not a patient: split by NIH patient.",
    )


def _verdict(holds: bool | np.bool_) -> Verdict:
    return Verdict.HOLDS if holds else Verdict.FAILS


def _part_or_fails(survey: Survey) -> Verdict:
    return Verdict.FAILS if survey.is_complete else Verdict.UNTOLD


def _percent(share: measures.Share) -> str:
    return f"{share.value:.1%}".replace("%", " %")
