"""Surveys made by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.kaggle.folder import LabelRow
from training.kaggle.survey import Parts, Survey, make_survey
from training.tables import Rectangle

CLASSES = ("Normal", "No Lung Opacity / Not Normal", "Lung Opacity")
Film = tuple[int, Sequence[Rectangle]]
"""Class (index of `CLASSES`) and boxes."""


def survey_of(films: Sequence[Film], **columns: Sequence[object]) -> Survey:
    """Make a survey of films; `columns` are the headers' `sex`, `view`, `age` and so on."""
    ids = [f"film-{number:05d}" for number in range(len(films))]
    labels, classes = [], []
    for name, (label, boxes) in zip(ids, films, strict=True):
        rows = [LabelRow(name, 1, box) for box in boxes] or [LabelRow(name, 0, None)]
        labels += rows
        classes += [(name, CLASSES[label])] * len(rows)
    headers: dict[str, Sequence[object]] = {
        "patientId": ids,
        "sex": ["M", "F"] * len(ids),
        "view": ["PA"] * len(ids),
        "age": [str(20 + number % 60) for number in range(len(ids))],
        "spacing": ["0.139"] * len(ids),
    }
    return make_survey(
        Parts(
            name="by hand",
            headers={**headers, **columns},
            columns={"Modality": ["CR"] * len(ids), "PatientID": ids},
            label_rows=labels,
            class_rows=classes,
            patients={},
            revised_ages={},
        )
    )


def mixed(count: int = 60) -> Survey:
    """A survey of every class, sex and view, and of several ages."""
    rng = np.random.default_rng(3)
    films: list[Film] = []
    for number in range(count):
        x, y = (float(value) for value in rng.integers(50, 500, 2))
        boxes = [(x, y, 200.0, 300.0), (x + 210, y, 180.0, 250.0)]
        films.append((number % 3, boxes[: 1 + number % 2] if number % 3 == 2 else ()))
    views = [("AP", "PA")[int(rng.random() < 0.5)] for _ in range(count)]
    ages = [str(int(age)) for age in rng.integers(1, 90, count)]
    return survey_of(films, view=views, age=[*ages[:-1], "151"])
