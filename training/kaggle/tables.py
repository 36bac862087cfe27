"""The exploration's tables: text in cells, for a page, Markdown or a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.kaggle import measures
from training.kaggle.check import FULL_SET
from training.kaggle.style import CLASS_NAMES, TARGET_NAMES, named, percent
from training.kaggle.survey import Floats, Survey


@dataclass(frozen=True, slots=True)
class DataTable:
    """A table of text; the first column names its row. `note` says what is to be known of it."""

    id: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def counts(survey: Survey) -> DataTable:
    """What there is, beside the complete set."""
    found = (
        ("training films", len(survey.films), FULL_SET.films),
        ("label rows", len(survey.label_rows), FULL_SET.label_rows),
        ("boxes", len(survey.boxes), FULL_SET.boxes),
        ("positive films", int(survey.films.target.sum()), FULL_SET.positive_films),
        ("test films", survey.test_films, FULL_SET.test_films),
    )
    rows = tuple(
        (name, "–" if here is None else f"{here:,}", f"{full:,}") for name, here, full in found
    )
    return DataTable("counts", "What there is", ("", "here", "complete set"), rows)


def merge(survey: Survey) -> DataTable:
    """What the naive merge of the label files makes."""
    merged = measures.naive_merge(survey)
    repeated = sum(n - 1 for n in Counter(survey.label_rows).values())
    rows = (
        ("rows of the label file", f"{len(survey.label_rows):,}"),
        ("of these repeated", f"{repeated:,}"),
        ("rows of the class file", f"{len(survey.class_rows):,}"),
        ("films", f"{len(survey.films):,}"),
        ("rows after the merge on patientId", f"{merged.rows:,}"),
        ("of these duplicates", f"{merged.duplicates:,}"),
        ("rows left", f"{merged.left:,}"),
    )
    note = (
        "A film with n boxes has n rows in each file and n × n after the merge: the duplicates are"
        " made by it. Merging one row per film of the class file makes none."
    )
    return DataTable("merge", "The naive merge of the label files", ("", "rows"), rows, note)


def shares(survey: Survey) -> DataTable:
    """Class, target, sex and view, by film and by row of the label file."""
    films = survey.films
    groups: list[tuple[str, Sequence[str], NDArray[np.intp]]] = [
        ("class", CLASS_NAMES, films.label),
        ("target", TARGET_NAMES, films.target),
    ]
    for name, of, order in (("sex", films.sex, ("M", "F")), ("view", films.view, ("PA", "AP"))):
        of = np.where(of == "", measures.UNKNOWN, of)
        found = measures.group_names(of, order)
        groups.append((name, named(found), np.array([found.index(str(each)) for each in of])))
    rows = []
    for group, names, index in groups:
        for at, name in enumerate(names):
            chosen = index == at
            rows.append(
                (
                    f"{group}: {name}",
                    f"{int(chosen.sum()):,}",
                    percent(float(chosen.mean())),
                    f"{int(films.rows[chosen].sum()):,}",
                    percent(float(films.rows[chosen].sum() / films.rows.sum())),
                )
            )
    columns = ("", "films", "% of films", "rows", "% of rows")
    return DataTable("shares", "Class, target, sex, view", columns, tuple(rows))


def class_by_target(survey: Survey) -> DataTable:
    """Films by class and target."""
    films = survey.films
    rows = tuple(
        (name, *(f"{int(((films.label == at) & (films.target == t)).sum()):,}" for t in (0, 1)))
        for at, name in enumerate(CLASS_NAMES)
    )
    return DataTable("class_target", "Class against target (films)", ("", *TARGET_NAMES), rows)


def groups(survey: Survey) -> DataTable:
    """Films by class, and the share that is positive, of each sex, age bin and view."""
    films = survey.films
    rows = []
    for group, of, order in (
        ("sex", films.sex, ("M", "F")),
        ("age", measures.age_bin(films.age), measures.AGE_BINS),
        ("view", films.view, ("PA", "AP")),
    ):
        of = np.where(of == "", measures.UNKNOWN, of)
        names = measures.group_names(of, order)
        for name, said in zip(names, named(names), strict=True):
            by_class = np.bincount(films.label[of == name], minlength=len(CLASS_NAMES))
            share = measures.positive_share(films, of == name)
            low, high = share.interval
            rows.append(
                (
                    f"{group}: {said}",
                    f"{share.of:,}",
                    *(f"{int(each):,}" for each in by_class),
                    percent(share.value),
                    f"{100 * low:.1f} – {100 * high:.1f}",
                )
            )
    columns = ("", "films", *CLASS_NAMES, "positive", "95 % interval")
    return DataTable("groups", "Sex, age and view against class", columns, tuple(rows))


def old_ages(survey: Survey) -> DataTable:
    """The films with an age above 100 years."""
    films = survey.films
    order = np.argsort(films.age)
    rows = tuple(
        (
            f"{films.age[at]:.0f}",
            f"{films.revised_age[at]:.0f}" if np.isfinite(films.revised_age[at]) else "–",
            *named([str(films.sex[at])]),
            str(films.view[at]),
            CLASS_NAMES[films.label[at]],
        )
        for at in order
        if films.age[at] > 100
    )
    note = "" if rows else "No film here has one; the complete set has five."
    columns = ("age, years", "NIH's revision of 2020", "sex", "view", "class")
    return DataTable("old_ages", "Ages above 100", columns, rows, note)


def boxes_per_film(survey: Survey) -> DataTable:
    """Positive films by their number of boxes."""
    per_film = measures.boxes_per_film(survey)
    positive = int((per_film > 0).sum())
    rows = tuple(
        (f"{number}", f"{count:,}", percent(count / positive))
        for number, count in enumerate(np.bincount(per_film[per_film > 0])[1:].tolist(), start=1)
    )
    columns = ("boxes", "films", "% of positive films")
    return DataTable("boxes_per_film", "Boxes per positive film", columns, rows)


def numbers(survey: Survey) -> DataTable:
    """Quartiles, mean and range of the numeric columns."""
    films, boxes = survey.films, survey.boxes
    measured: list[tuple[str, Floats]] = [
        ("age, years", films.age),
        ("pixel spacing, mm", films.spacing),
        ("mean of stored values", films.mean),
        ("std of stored values", films.std),
        ("box x, px", boxes.x),
        ("box y, px", boxes.y),
        ("box width, px", boxes.width),
        ("box height, px", boxes.height),
        ("box area, % of the film", 100 * boxes.area / 1024**2),
    ]
    rows = []
    for name, values in measured:
        known = values[np.isfinite(values)]
        if len(known):
            of = [known.mean(), *np.quantile(known, (0, 0.25, 0.5, 0.75, 1))]
            digits = 3 if np.max(np.abs(known)) < 2 else 1
            rows.append((name, f"{len(known):,}", *(f"{value:.{digits}f}" for value in of)))
    columns = ("", "n", "mean", "least", "lower quartile", "median", "upper quartile", "most")
    return DataTable("numbers", "Numeric columns", columns, tuple(rows))


def single_valued(survey: Survey) -> DataTable:
    """The columns that have the same value on every film."""
    rows = tuple((name, value or "(empty)") for name, value in survey.constant.items())
    note = f"{len(rows)} of {len(survey.distinct)} columns that were read."
    if not survey.paths:
        note += " The header table has only some of the attributes that the films have."
    return DataTable(
        "single_valued", "Columns with a single value", ("column", "value"), rows, note
    )


def markdown(table: DataTable) -> str:
    """Write a table as Markdown, its title above and its note below."""
    lines = [f"**{table.title}**", ""]
    if table.rows:
        lines.append("| " + " | ".join(_cell(name) for name in table.columns) + " |")
        lines.append("|---" + "|--:" * (len(table.columns) - 1) + "|")
        lines += ["| " + " | ".join(_cell(text) for text in row) + " |" for row in table.rows]
        lines.append("")
    if table.note:
        lines += [table.note, ""]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
