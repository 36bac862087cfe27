"""What the label files hold, and how the report counted it."""

from __future__ import annotations

import numpy as np

from training.results.measured import Known
from training.results.mistake import Mistake
from training.results.remarks import FILMS, POSITIVE_FILMS, PREVALENCE

LABEL_ROWS, BOXES, MERGED_ROWS = 30_227, 9_555, 37_629
"""The challenge's label file, its boxes, and what a naive merge of both label files gives."""


def rows_and_films(known: Known) -> Mistake:
    """Rows counted as films."""
    effect = [
        f"On the whole set: {BOXES:,} of {LABEL_ROWS:,} rows are {BOXES / LABEL_ROWS:.1%},"
        f" {POSITIVE_FILMS:,} of {FILMS:,} films are {PREVALENCE:.1%}."
    ]
    if known.rows:
        rows, films = sum(known.rows.values()), len(known.rows)
        boxes = sum(len(held) for held in known.boxes.values())
        positive = sum(len(held) > 0 for held in known.boxes.values())
        effect.append(
            f"Measured on this folder: {boxes:,} of {rows:,} rows are {boxes / rows:.1%},"
            f" {positive:,} of {films:,} films are {positive / films:.1%}."
        )
    return Mistake(
        "“A third” positive counts rows",
        "A film with two boxes has two rows in the label file, so its share is counted twice.",
        tuple(effect),
    )


def merge(known: Known) -> Mistake:
    """Copies that a merge made."""
    effect = [
        f"On the whole set: {MERGED_ROWS:,} merged rows, {MERGED_ROWS - LABEL_ROWS:,} of them"
        f" copies; without the merge there are {LABEL_ROWS:,} rows and nothing to drop."
    ]
    if known.rows:
        rows = sum(known.rows.values())
        merged = sum(count * count for count in known.rows.values())
        effect.append(
            f"Measured on this folder: {rows:,} rows become {merged:,}, {merged - rows:,} of them"
            " copies."
        )
    return Mistake(
        "7,402 duplicates that a merge made",
        "Both label files have one row for each box. Merged by patientId, a film with n boxes gives"
        " n x n rows.",
        tuple(effect),
    )


def one_box(known: Known) -> Mistake:
    """What a single box on every film can reach at best."""
    counts = np.array([len(held) for held in known.boxes.values() if len(held)])
    if len(counts):
        films, positive = len(known.boxes), len(counts)
        best = float((1 / counts).mean())
        where, effect = (
            "Measured on this folder",
            (counts.sum() - positive) / counts.sum(),
        )
    else:
        films, positive = FILMS, POSITIVE_FILMS
        best = (2614 + 3266 / 2 + 119 / 3 + 13 / 4) / POSITIVE_FILMS
        where, effect = "On the whole set", (BOXES - POSITIVE_FILMS) / BOXES
    return Mistake(
        "One box a film, and a box on every film",
        "The regressors draw exactly one box. Opacities mostly come in pairs, and most films have"
        " none; trained on positive films alone, the networks cannot say so.",
        (
            f"{where}: {effect:.0%} of the true boxes can never be found. A perfect single box on"
            f" each of the {positive:,} positive films scores {best:.3f} by the challenge's metric,"
            f" and {best * positive / films:.3f} where each of all {films:,} films gets one.",
        ),
    )
