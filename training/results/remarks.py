"""What has to be said of single rows: what the report got wrong there, and what ours shows."""

from __future__ import annotations

from collections.abc import Iterator

from training.experiments.spec import Spec
from training.results.measured import Boxed, Classified
from training.results.rows import Row, Status
from training.results.scores import (
    COLLAPSED_LOSS,
    Confusion,
    ScoreError,
    from_printed,
    precision_at,
)

POSITIVE_FILMS, FILMS = 6_012, 26_684
PREVALENCE = POSITIVE_FILMS / FILMS
"""Share of the challenge's training films with an opacity: 22.5 %."""
TEST_FILMS = (600, 600)
"""Films of class 0 and 1 that the report's transfer rows were tested on."""


def remarks(row: Row) -> list[str]:
    """Say what has to be said of a row, the report's figure first, then ours."""
    return [*of_the_report(row.spec), *_of_ours(row)]


def of_the_report(spec: Spec) -> Iterator[str]:
    """Say what is wrong with a row's printed figure."""
    reported = spec.reported
    if collapsed(spec):
        at_half = reported.loss is not None and abs(reported.loss - COLLAPSED_LOSS) < 0.006
        yield "Report: collapsed, every film called the same" + (
            " (its loss is 100 ln 2)." if at_half else "."
        )
    if spec.kind == "classes" and reported.loss is not None and reported.loss > 1:
        yield (
            f"Report: its loss diverged; it is printed as {reported.printed.split('/')[0].strip()},"
            " 100 times too large."
        )
    matrix = printed_matrix(spec)
    if matrix is not None:
        mixed = precision_at(matrix.sensitivity, matrix.specificity, PREVALENCE)
        yield (
            f"Report: its figures follow from TP {matrix.tp}, FN {matrix.fn}, FP {matrix.fp}, TN"
            f" {matrix.tn}; its “ROC” is balanced accuracy; its precision of"
            f" {reported.precision} would be {mixed:.2f} on the true mix."
        )
    if spec.model == "densenet121_chexnet" and spec.network.weights == "chexnet":
        yield "CheXNet was trained on NIH films, from which these were drawn: may be contaminated."
    if spec.id == "base-model_2":
        yield "Report: no parameter total is printed for this network."
    if spec.id == "base-model_2a":
        yield "Report: the total printed here, 4,402,780, is that of model_3."
    if spec.data.test == "validation" and reported.printed:
        yield "Report: tested on the films that it was validated on."


def collapsed(spec: Spec) -> bool:
    """Tell whether a row's printed accuracy is that of calling every film the same."""
    return spec.reported.accuracy is not None and abs(spec.reported.accuracy - 0.5) < 1e-9


def printed_matrix(spec: Spec) -> Confusion | None:
    """The confusion matrix that a row's printed figures follow from; None where it is not one."""
    reported = spec.reported
    if reported.accuracy is None or reported.precision is None or reported.recall is None:
        return None
    try:
        return from_printed(
            accuracy=reported.accuracy,
            precision=reported.precision,
            recall=reported.recall,
            films=TEST_FILMS,
        )
    except ScoreError:
        return None


def _of_ours(row: Row) -> Iterator[str]:
    if row.status is not Status.DONE:
        return
    if row.run is not None:
        yield from (f"Ours: {remark.rstrip('.')}." for remark in row.run.record.remarks)
    if isinstance(row.measured, Classified):
        yield from _of_classes(row.measured, row.spec)
    elif isinstance(row.measured, Boxed):
        yield from _of_boxes(row.measured)


def _of_classes(measured: Classified, spec: Spec) -> Iterator[str]:
    if measured.collapsed is not None:
        yield f"Ours: collapsed, {measured.collapsed}."
    elif measured.auc.low <= 0.5:
        yield "Ours: the interval of its AUC holds 0.5; it may know nothing."
    if measured.split == "val" or spec.data.test == "validation":
        yield "Ours: tested on its validation films, as the report did."
    matrix = measured.confusion
    if spec.table == "transfer" and measured.collapsed is None:
        mixed = precision_at(matrix.sensitivity, matrix.specificity, PREVALENCE)
        yield (
            f"Ours: precision {matrix.of_class(1).precision:.2f}, on the true mix {mixed:.2f};"
            f" balanced accuracy {matrix.balanced_accuracy:.3f}, true AUC {measured.auc.value:.3f}."
        )


def _of_boxes(measured: Boxed) -> Iterator[str]:
    gain = measured.gain
    verdict = (
        "better than" if gain.low > 0 else "worse than" if gain.high < 0 else "no different from"
    )
    yield (
        f"Ours: {verdict} the constant box ({measured.constant_iou.mean():.3f} on the same films;"
        f" difference {gain.value:+.3f}, {gain.low:+.3f} to {gain.high:+.3f})."
    )
