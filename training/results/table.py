"""The report's tables with a second column, ours, as lines of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from inference.manifest import Metric
from training.experiments.spec import Spec, Table
from training.results.measured import Boxed, Classified, Detected
from training.results.mistake import number
from training.results.remarks import remarks
from training.results.rows import Row, Status
from training.results.runs import Counts

TITLES: dict[Table, str] = {
    "base": "Four CNNs, base run",
    "grid": "Fine-tuning grid",
    "transfer": "Transfer learning",
    "boxes": "Box regressors",
    "faster_rcnn": "Faster R-CNN",
    "own": "Experiments that are not the report's",
}
FORMS: dict[Table, str] = {
    "base": "train / validation / test accuracy in %; precision, recall, F1 of class 0 · class 1",
    "grid": "loss / accuracy, both times 100",
    "transfer": "accuracy, precision, recall, F1, “ROC” (balanced accuracy)",
    "boxes": "mean IoU (loss: mean squared error in pixels of the network's targets)",
    "faster_rcnn": "what was drawn",
    "own": "accuracy, or mean IoU",
}
CLASS_HEADS = ("test accuracy (95 %)", "AUC (95 %)")
BOX_HEADS = ("mean IoU (95 %)", "constant box", "challenge metric · constant box")
DETECTOR_HEADS = ("best IoU of a true box", "constant box", "challenge metric · constant box")
_HEADS: dict[Table, tuple[str, ...]] = {"boxes": BOX_HEADS, "faster_rcnn": DETECTOR_HEADS}


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a table, as text.

    `group` is the report's row where it has one for several networks, else empty. `films` and
    `epochs` are the report's and ours.
    """

    id: str
    group: str
    name: str
    printed: str
    ours: str
    figures: tuple[str, ...]
    films: tuple[str, str]
    epochs: tuple[str, str]
    status: Status
    reason: str
    remarks: tuple[str, ...]
    variants: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """One table of the report."""

    key: Table
    title: str
    form: str
    heads: tuple[str, ...]
    lines: tuple[Line, ...]


def sections(rows: Sequence[Row]) -> list[Section]:
    """Arrange rows as the report's tables; a table without rows is left out."""
    found = []
    for key, members in groupby(rows, key=lambda row: row.spec.table):
        held = list(members)
        heads = _HEADS.get(key, CLASS_HEADS)
        lines = tuple(_line(row, len(heads)) for row in held)
        found.append(Section(key, TITLES[key], FORMS[key], heads, lines))
    return found


def summary(rows: Sequence[Row]) -> str:
    """Say how many rows there are and what became of them."""
    counts = {status: sum(row.status is status for row in rows) for status in Status}
    parts = [f"{count} {status}" for status, count in counts.items() if count]
    return f"{len(rows)} rows: {', '.join(parts)}."


def interval(metric: Metric, digits: int = 3) -> str:
    """Write a figure with its 95 % interval."""
    return (
        f"{number(metric.value, digits)} ({number(metric.low, digits)} to"
        f" {number(metric.high, digits)})"
    )


def _line(row: Row, columns: int) -> Line:
    run = row.run
    many = row.spec.table in ("base", "grid")
    group, name = (row.spec.row, row.spec.model) if many else ("", row.spec.row)
    return Line(
        id=row.spec.id,
        group=group,
        name=f"@{row.variant_name}" if row.variant_name else name,
        printed="" if row.variant_name else row.spec.reported.printed,
        ours=_ours(row),
        figures=_figures(row, columns),
        films=(_films_of_report(row.spec), _films(run.record.films) if run else ""),
        epochs=(
            str(row.spec.train.epochs) if row.spec.train else "",
            str(run.record.epochs_done) if run else "",
        ),
        status=row.status,
        reason=row.reason or "",
        remarks=(_first_sentence(row.spec.note),) if row.variant_name else tuple(remarks(row)),
        variants=tuple(_line(each, columns) for each in row.variants),
    )


def _ours(row: Row) -> str:
    """Write our figures in the form that the report prints its own."""
    measured = row.measured
    if measured is None:
        return ""
    if isinstance(measured, Detected):
        return f"{measured.detections:,} detections on {measured.films:,} films"
    get = measured.figures
    if isinstance(measured, Boxed):
        return f"IoU {number(get['iou'], 4)} (loss {number(get['loss'], 2)})"
    if row.spec.table == "base":
        accuracies = " / ".join(
            number(100 * get[f"{split}_accuracy"], 0) for split in ("train", "val", "test")
        )
        classes = " · ".join(
            " ".join(_short(get[f"{name}_{which}"], 2) for name in ("precision", "recall", "f1"))
            for which in (0, 1)
        )
        return f"{accuracies}; {classes}"
    if row.spec.table == "grid":
        return f"{number(100 * get['loss'], 0)} / {number(100 * get['accuracy'], 2)}"
    if row.spec.table == "transfer":
        names = ("accuracy", "precision", "recall", "f1", "balanced_accuracy")
        return " ".join(_short(get[name], 4) for name in names)
    return f"accuracy {_short(get['accuracy'], 4)}"


def _figures(row: Row, columns: int) -> tuple[str, ...]:
    measured = row.measured
    if isinstance(measured, Classified):
        return (interval(measured.accuracy), interval(measured.auc))
    if isinstance(measured, Boxed):
        return (
            interval(measured.mean_iou),
            number(float(measured.constant_iou.mean()), 3),
            " · ".join(
                number(m.value, 3) for m in (measured.challenge, measured.constant_challenge)
            ),
        )
    if isinstance(measured, Detected):
        return (
            number(float(measured.overlap.mean()), 3),
            number(float(measured.constant_overlap.mean()), 3),
            " · ".join(
                number(m.value, 3) for m in (measured.challenge, measured.constant_challenge)
            ),
        )
    return ("",) * columns


def _films_of_report(spec: Spec) -> str:
    return f"{spec.data.films:,}"


def _films(counts: Counts) -> str:
    return f"{counts.train:,} / {counts.val:,} / {counts.test:,}"


def _short(value: float, digits: int) -> str:
    """Write a fraction as the report does, without the leading zero."""
    return number(value, digits).removeprefix("0")


def _first_sentence(text: str) -> str:
    return text.strip().split(". ")[0].rstrip(".") + "."
