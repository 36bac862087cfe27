"""What the report got wrong, each with its effect: measured on the runs and films at hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.results import labels, variants
from training.results.curves import constant_box, pair_iou
from training.results.measured import Boxed, Classified, Detected, Known
from training.results.mistake import Mistake, grid, name_of, number
from training.results.remarks import PREVALENCE, collapsed, printed_matrix
from training.results.rows import Row
from training.results.scores import COLLAPSED_LOSS, precision_at


def mistakes(rows: Sequence[Row], known: Known) -> list[Mistake]:
    """List the report's mistakes with their effect, as far as runs and films at hand show it."""
    return [
        variants.np_resize(rows),
        _constant_box(rows, known),
        _balanced_accuracy(rows),
        _true_mix(rows),
        _collapse(rows),
        _losses_and_totals(rows),
        labels.rows_and_films(known),
        labels.merge(known),
        labels.one_box(known),
        variants.preprocess(rows),
        variants.held_out_test(rows),
        variants.by_patient(rows, known),
        _chexnet(rows),
        _faster_rcnn(rows),
    ]


def _constant_box(rows: Sequence[Row], known: Known) -> Mistake:
    effect = ["On all 9,555 real boxes, a constant box has a mean IoU of 0.185."]
    boxes = np.concatenate([*known.boxes.values(), np.zeros((0, 4))])
    if len(boxes):
        box = constant_box(boxes)
        mean = pair_iou(np.tile(box, (len(boxes), 1)), boxes).mean()
        x, y, width, height = box
        effect.append(
            f"Measured on the {len(boxes):,} boxes of this folder: the constant box {x:.0f},"
            f" {y:.0f}, {width:.0f} x {height:.0f} has {mean:.3f}."
        )
    lines = [
        (
            name_of(each),
            number(each.spec.reported.iou, 4),
            f"{m.mean_iou.value:.3f} ({m.mean_iou.low:.3f} to {m.mean_iou.high:.3f})",
            f"{m.constant_iou.mean():.3f}",
            f"{m.gain.value:+.3f} ({m.gain.low:+.3f} to {m.gain.high:+.3f})",
            f"{m.challenge.value:.3f}",
            f"{m.constant_challenge.value:.3f}",
        )
        for row in rows
        for each in (row, *row.variants)
        if isinstance(m := each.measured, Boxed)
    ]
    head = (
        "network",
        "report, IoU",
        "ours, IoU (95 %)",
        "constant box",
        "difference (95 %)",
        "challenge metric",
        "constant box",
    )
    return Mistake(
        "No box result beside a constant box",
        "The report gives an IoU of 0.1795 and 0.2265 without saying what looking at no film gives."
        " The loss of its DenseNet regressor implies targets left in pixels of the 1024 film.",
        (*effect, *(() if lines else ("No box regressor has been run here yet.",))),
        grid(head, lines),
    )


def _balanced_accuracy(rows: Sequence[Row]) -> Mistake:
    lines = []
    for row in rows:
        matrix = printed_matrix(row.spec)
        if matrix is None or (row.spec.data.test == "validation" and row.measured is None):
            continue
        ours = row.measured if isinstance(row.measured, Classified) else None
        lines.append(
            (
                name_of(row),
                f"{matrix.tp} / {matrix.fn} / {matrix.fp} / {matrix.tn}",
                number(row.spec.reported.balanced_accuracy, 4),
                f"{matrix.balanced_accuracy:.4f}",
                f"{ours.confusion.balanced_accuracy:.3f}" if ours else "not run",
                f"{ours.auc.value:.3f} ({ours.auc.low:.3f} to {ours.auc.high:.3f})" if ours else "",
            )
        )
    head = (
        "network",
        "report: TP / FN / FP / TN",
        "its “ROC”",
        "balanced accuracy of these",
        "ours: balanced accuracy",
        "ours: true AUC (95 %)",
    )
    return Mistake(
        "“ROC” is balanced accuracy",
        "What the report calls ROC was computed from hard labels: the area below a curve of one"
        " corner, which is balanced accuracy. It says nothing of how films are ranked.",
        ("From accuracy, precision and recall as printed, one confusion matrix follows for each.",),
        grid(head, lines),
    )


def _true_mix(rows: Sequence[Row]) -> Mistake:
    lines, seen = [], set()
    for row in rows:
        matrix, ours = printed_matrix(row.spec), row.measured
        if matrix is None:
            continue
        measured = ours.confusion if isinstance(ours, Classified) else None
        if measured is None and row.spec.model in seen:
            continue
        seen.add(row.spec.model)
        lines.append(
            (
                name_of(row),
                f"{matrix.of_class(1).precision:.3f}",
                f"{precision_at(matrix.sensitivity, matrix.specificity, PREVALENCE):.3f}",
                number(measured.of_class(1).precision, 3) if measured else "not run",
                number(precision_at(measured.sensitivity, measured.specificity, PREVALENCE), 3)
                if measured
                else "",
            )
        )
    return Mistake(
        "Precision on a mix that does not occur",
        "Half of the report's films have an opacity; of the challenge's films"
        f" {PREVALENCE:.1%} have, and of a hospital's fewer.",
        ("Computed by Bayes' rule from sensitivity and specificity.",),
        grid(
            (
                "network",
                "report: precision at 50 %",
                f"at {PREVALENCE:.1%}",
                "ours: precision at test mix",
                f"at {PREVALENCE:.1%}",
            ),
            lines,
        ),
    )


def _collapse(rows: Sequence[Row]) -> Mistake:
    theirs = [name_of(row) for row in rows if collapsed(row.spec)]
    ours = [
        (name_of(each), f"{m.figures['loss']:.4f}", m.collapsed or "")
        for row in rows
        for each in (row, *row.variants)
        if isinstance(m := each.measured, Classified) and m.collapsed
    ]
    trained = sum(isinstance(row.measured, Classified) for row in rows)
    return Mistake(
        "Collapsed networks taken for results",
        f"A loss of {100 * COLLAPSED_LOSS:.2f} % is 100 ln 2: the network says one half for every"
        " film, and its accuracy is the share of one class.",
        (
            f"{len(theirs)} printed accuracies are exactly 50 %: {', '.join(theirs)}.",
            f"Measured here: {len(ours)} of {trained} classifiers and their variants collapsed."
            if trained
            else "No classifier has been run here yet.",
        ),
        grid(("ours, collapsed", "loss", "how"), ours),
    )


def _losses_and_totals(rows: Sequence[Row]) -> Mistake:
    lines = [
        (
            name_of(row),
            row.spec.reported.printed.split("/")[0].strip() + " %",
            number(row.spec.reported.loss, 2),
            number(row.measured.figures["loss"], 3)
            if isinstance(row.measured, Classified)
            else "not run",
        )
        for row in rows
        if row.spec.kind == "classes" and (row.spec.reported.loss or 0) > 1
    ]
    totals = [
        f"{row.spec.model} {row.run.record.parameters.total:,}"
        for row in rows
        if row.spec.table == "base" and row.run is not None and row.run.record.parameters
    ]
    return Mistake(
        "Losses a hundred times too large, and a total under the wrong network",
        "Losses are printed raw in one place and times 100 in another; the parameter total of"
        " model_3 stands under model_2a, and none under model_2.",
        (
            f"Parameters, counted here: {'; '.join(totals)}."
            if totals
            else "The totals are counted when the base rows have been run.",
        ),
        grid(("network", "printed", "loss", "ours"), lines),
    )


def _chexnet(rows: Sequence[Row]) -> Mistake:
    mine = [
        f"{name_of(row)}: AUC {m.auc.value:.3f} ({m.auc.low:.3f} to {m.auc.high:.3f})"
        for row in rows
        if row.spec.network.weights in ("chexnet", "imagenet")
        and isinstance(m := row.measured, Classified)
        and row.spec.model.startswith("densenet121")
    ]
    return Mistake(
        "A pretrained network that may have seen the test films",
        "CheXNet was trained on NIH ChestX-ray14, from which the challenge's films were drawn. Its"
        " .7925 may be contaminated.",
        (
            f"Measured here: {'; '.join(mine)}. How much of a difference is contamination cannot be"
            " told without the list of films that CheXNet was trained on."
            if mine
            else "Not measured: no DenseNet121 row has been run here.",
        ),
    )


def _faster_rcnn(rows: Sequence[Row]) -> Mistake:
    effect = []
    for row in rows:
        if isinstance(m := row.measured, Detected):
            named = ", ".join(f"{count} of class {k}" for k, count in m.classes.items())
            effect.append(
                f"Measured here: {m.detections:,} detections on {m.films:,} films"
                f" ({named or 'none'}; in COCO 1 is a person). A true box overlaps the best of them"
                f" by {m.overlap.mean():.3f}, the constant box by {m.constant_overlap.mean():.3f};"
                f" the challenge's metric is {m.challenge.value:.3f}, that of the constant box on"
                f" every film {m.constant_challenge.value:.3f}."
            )
    return Mistake(
        "“Anchor boxes” that are detections of things in photographs",
        "Faster R-CNN was run as it comes, trained on COCO. What the report takes for anchor boxes"
        " are its detections of COCO's classes; id 0 of its label map is the background.",
        tuple(effect) or ("Not measured: the detector has not been run here.",),
    )
