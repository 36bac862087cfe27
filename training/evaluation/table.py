"""`predictions.csv`: one line a film, from which every figure can be computed again."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from inference.manifest import CLASSES
from training.evaluation.case import Boxes, Case, Predictions, Refused

COLUMNS = (
    "film",
    "patient",
    "fold",
    "source",
    "label",
    "view",
    "sex",
    "age",
    "width",
    "height",
    *(f"probability_{name}" for name in CLASSES),
    "intensity",
    "inverted",
    "operating_point",
    "boxes_known",
    "truth",
    "drawn",
    "candidates",
    "constant",
    "refused",
)
"""Columns but those of the thresholds, `threshold_` and the operating point's name."""
_THRESHOLD = "threshold_"


class PredictionsError(Exception):
    """A table of predictions cannot be read; the message names file, line and what is wrong."""


def write_predictions(file: Path, predictions: Predictions) -> None:
    """Write the predictions; numbers in full, boxes as "x0 y0 x1 y1 score; …"."""
    points = list(predictions.cases[0].thresholds) if predictions.cases else []
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(
            stream, [*COLUMNS, *(_THRESHOLD + name for name in points)], lineterminator="\n"
        )
        writer.writeheader()
        for case in predictions.cases:
            writer.writerow(_row(case, predictions.point))
        for each in predictions.refused:
            writer.writerow(
                {
                    "film": each.film,
                    "patient": each.patient,
                    "source": each.source,
                    "label": CLASSES[each.label],
                    "refused": each.code,
                }
            )


def read_predictions(file: Path) -> Predictions:
    """Read a table of predictions.

    Raises:
        PredictionsError: it cannot be read, or a column is missing or holds no such value.
    """
    cases: list[Case] = []
    refused: list[Refused] = []
    point = ""
    try:
        with file.open(encoding="utf-8", newline="") as stream:
            for number, row in enumerate(csv.DictReader(stream), 2):
                try:
                    if row["refused"]:
                        refused.append(_refused(row))
                    else:
                        point = row["operating_point"]
                        cases.append(_case(row))
                except (KeyError, ValueError, TypeError) as error:
                    raise PredictionsError(
                        f"{file}: line {number}: {error}; evaluate anew"
                    ) from None
    except OSError as error:
        raise PredictionsError(f"{file}: cannot be read: {error.strerror}") from None
    return Predictions(point, tuple(cases), tuple(refused))


def _row(case: Case, point: str) -> dict[str, object]:
    probabilities = zip(CLASSES, case.probabilities, strict=True)
    return {
        "film": case.film,
        "patient": case.patient,
        "fold": case.fold,
        "source": case.source,
        "label": CLASSES[case.label],
        "view": case.view,
        "sex": case.sex,
        "age": case.age,
        "width": case.width,
        "height": case.height,
        **{f"probability_{name}": repr(float(p)) for name, p in probabilities},
        "intensity": _number(case.intensity),
        "inverted": _number(case.inverted),
        "operating_point": point,
        "boxes_known": int(case.truth is not None),
        "truth": _text(case.truth or ()),
        "drawn": _text(case.drawn),
        "candidates": _text(case.candidates),
        "constant": _text(case.constant),
        "refused": "",
        **{_THRESHOLD + name: repr(float(t)) for name, t in case.thresholds.items()},
    }


def _case(row: dict[str, str]) -> Case:
    low, middle, high = (float(row[f"probability_{name}"]) for name in CLASSES)
    return Case(
        film=row["film"],
        patient=row["patient"],
        fold=int(row["fold"]),
        source=row["source"],
        label=CLASSES.index(row["label"]),
        view=row["view"],
        sex=row["sex"],
        age=row["age"],
        width=int(row["width"]),
        height=int(row["height"]),
        probabilities=(low, middle, high),
        thresholds={
            name.removeprefix(_THRESHOLD): float(value)
            for name, value in row.items()
            if name.startswith(_THRESHOLD)
        },
        truth=_boxes(row["truth"]) if row["boxes_known"] == "1" else None,
        drawn=_boxes(row["drawn"]),
        candidates=_boxes(row["candidates"]),
        constant=_boxes(row["constant"]),
        intensity=float(row["intensity"]) if row["intensity"] else None,
        inverted=float(row["inverted"]) if row["inverted"] else None,
    )


def _refused(row: dict[str, str]) -> Refused:
    label = CLASSES.index(row["label"])
    return Refused(row["film"], row["patient"], row["source"], label, row["refused"])


def _number(value: float | None) -> str:
    return "" if value is None else repr(float(value))


def _text(boxes: Iterable[Sequence[float]]) -> str:
    return "; ".join(" ".join(repr(v).removesuffix(".0") for v in box) for box in boxes)


def _boxes(text: str) -> Boxes:
    return tuple(tuple(float(v) for v in box.split()) for box in text.split(";") if box.strip())
