"""What a run's predictions amount to: every figure the report prints, and those it should have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from inference.manifest import Metric
from inference.suppression import iou
from training import metrics
from training.kaggle.folder import KaggleFolder
from training.results import curves
from training.results.runs import BoxPredictions, Detections, Predictions, Run, Split
from training.results.scores import COLLAPSED_LOSS, Confusion, confusion, cross_entropy

Floats = NDArray[np.float64]

THRESHOLD = 0.5
"""A film is called opacity from this probability on: the larger of two softmax outputs."""
_FILM_SIDE = 1024


@dataclass(frozen=True, slots=True)
class Known:
    """What the data folder tells of films, by patientId; all of it may be missing.

    `patients` is the NIH patient, `boxes` all true boxes (n, 4) x, y, width, height, `rows` how
    many rows a film has in the label file.
    """

    patients: Mapping[str, str] = field(default_factory=dict)
    boxes: Mapping[str, Floats] = field(default_factory=dict)
    rows: Mapping[str, int] = field(default_factory=dict)

    def groups(self, films: NDArray[np.str_]) -> list[str]:
        """Name the patient of each film, or the film itself where its patient is not known."""
        return [self.patients.get(film, film) for film in films.tolist()]


@dataclass(frozen=True, slots=True)
class Classified:
    """A classifier, measured on the films of `split`.

    `figures` has the names of `training.experiments.spec.Reported`, and `auc`, `average_precision`.
    Intervals are bootstrapped by patient where patients are known, else by film.
    """

    split: Split
    confusion: Confusion
    roc: curves.Curve
    precision_recall: curves.Curve
    auc: Metric
    delong: Metric
    accuracy: Metric
    figures: Mapping[str, float]
    collapsed: str | None


@dataclass(frozen=True, slots=True)
class Boxed:
    """A box regressor, measured on the films of `split`, each figure beside the constant box.

    `constant` is the box, found on the films trained on; `iou` and `constant_iou` (n,) are per
    film. The challenge's metric is over films that all have an opacity.
    """

    split: Split
    constant: Floats
    iou: Floats
    constant_iou: Floats
    mean_iou: Metric
    gain: Metric
    challenge: Metric
    constant_challenge: Metric
    figures: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Detected:
    """A ready detector, measured on films with and without opacities.

    Counted are detections with a score of `THRESHOLD` or more, whatever the detector takes them
    for: `classes` says how often it named which. `overlap` (true boxes,) is the best IoU of a true
    box with any of them, `constant_overlap` with the constant box, which is found on these films.
    """

    films: int
    detections: int
    classes: Mapping[int, int]
    overlap: Floats
    constant_overlap: Floats
    challenge: Metric
    constant_challenge: Metric


Measured = Classified | Boxed | Detected


def known_from(folder: KaggleFolder) -> Known:
    """Take what a data folder tells of its films."""
    rows: dict[str, int] = {}
    for row in folder.labels:
        rows[row.patient_id] = rows.get(row.patient_id, 0) + 1
    boxes = {
        film: np.array(held, np.float64).reshape(-1, 4) for film, held in folder.boxes().items()
    }
    return Known(folder.patients, boxes, rows)


def measure(run: Run, known: Known) -> Measured | None:
    """Measure a run on its test films, or on its validation films where it has no others.

    None where the run predicted nothing.
    """
    if isinstance(run.predictions, Predictions):
        return _classified(run, run.predictions, known)
    if isinstance(run.predictions, BoxPredictions):
        return _boxed(run, run.predictions, known)
    if isinstance(run.predictions, Detections):
        return _detected(run.predictions, known)
    return None


def _classified(run: Run, predictions: Predictions, known: Known) -> Classified | None:
    split: Split = "test" if (predictions.split == "test").any() else "val"
    films = predictions.of(split)
    if len(films.truth) == 0:
        return None
    truth, probability = films.truth, films.probability
    called = probability >= THRESHOLD
    groups = known.groups(films.patient_id)
    matrix = confusion(truth, called)
    roc, recalled = curves.roc(probability, truth), curves.precision_recall(probability, truth)
    right = called == truth
    figures = {
        "test_accuracy": matrix.accuracy,
        "accuracy": matrix.accuracy,
        "balanced_accuracy": matrix.balanced_accuracy,
        "loss": cross_entropy(truth, probability),
        "auc": roc.area,
        "average_precision": recalled.area,
        "train_accuracy": _accuracy(run, predictions.of("train"), "accuracy"),
        "val_accuracy": _accuracy(run, predictions.of("val"), "val_accuracy"),
    }
    for which, suffixes in ((0, ("_0",)), (1, ("_1", ""))):
        of_class = matrix.of_class(which)
        for suffix in suffixes:
            figures[f"precision{suffix}"] = of_class.precision
            figures[f"recall{suffix}"] = of_class.recall
            figures[f"f1{suffix}"] = of_class.f1
    return Classified(
        split=split,
        confusion=matrix,
        roc=roc,
        precision_recall=recalled,
        auc=curves.auc_interval(probability, truth, groups),
        delong=curves.delong_interval(probability, truth),
        accuracy=metrics.with_interval(lambda i: float(right[i].mean()), groups, "accuracy"),
        figures=figures,
        collapsed=_collapsed(matrix, probability),
    )


def _accuracy(run: Run, films: Predictions, column: str) -> float:
    """Accuracy on a split, or that of the last epoch where it was not predicted."""
    if len(films.truth):
        return float(((films.probability >= THRESHOLD) == films.truth).mean())
    values = run.history.get(column)
    return float(values[-1]) if values is not None and len(values) else float("nan")


def _collapsed(matrix: Confusion, probability: Floats) -> str | None:
    """Say how a network has collapsed, if it has."""
    if np.ptp(probability) < 1e-3:
        at = f"{probability.mean():.3f}"
        half = abs(probability.mean() - 0.5) < 0.005
        return f"says {at} for every film" + (
            f", a loss of {100 * COLLAPSED_LOSS:.2f} % (100 ln 2)" if half else ""
        )
    if matrix.one_class is not None and matrix.films > 1:
        return f"calls every film {('no opacity', 'opacity')[matrix.one_class]}"
    return None


def _boxed(run: Run, predictions: BoxPredictions, known: Known) -> Boxed | None:
    split: Split = "test" if (predictions.split == "test").any() else "val"
    films, trained = predictions.of(split), predictions.of("train")
    if len(films.truth) == 0:
        return None
    constant = curves.constant_box((trained if len(trained.truth) else films).truth)
    everywhere = np.tile(constant, (len(films.truth), 1))
    overlap = curves.pair_iou(films.truth, films.predicted)
    constant_iou = curves.pair_iou(films.truth, everywhere)
    names = films.patient_id.tolist()
    truth = [known.boxes.get(n, films.truth[k : k + 1]) for k, n in enumerate(names)]
    scores, usual = (
        curves.challenge([(box[None], np.ones(1)) for box in boxes], truth)
        for boxes in (films.predicted, everywhere)
    )
    groups = known.groups(films.patient_id)

    def mean(values: Floats, of: str) -> Metric:
        return metrics.with_interval(lambda i: float(values[i].mean()), groups, of)

    scale = _target_scale(run)
    return Boxed(
        split=split,
        constant=constant,
        iou=overlap,
        constant_iou=constant_iou,
        mean_iou=mean(overlap, "mean IoU"),
        gain=mean(overlap - constant_iou, "mean IoU beyond the constant box's"),
        challenge=mean(scores, "challenge metric, positive films alone"),
        constant_challenge=mean(usual, "the same, constant box"),
        figures={
            "iou": float(overlap.mean()),
            "loss": float((((films.predicted - films.truth) * scale) ** 2).mean()),
        },
    )


def _target_scale(run: Run) -> float:
    """How many pixels of the network's targets a pixel of the film is, by the run's settings."""
    data, network = run.record.settings.get("data"), run.record.settings.get("network")
    unscaled = isinstance(network, dict) and network.get("targets") == "unscaled"
    size = data.get("size") if isinstance(data, dict) else None
    return size / _FILM_SIDE if isinstance(size, int) and not unscaled else 1.0


def _detected(films: Detections, known: Known) -> Detected | None:
    boxes = np.concatenate([*films.truth, np.zeros((0, 4))])
    if len(boxes) == 0:
        return None
    kept = [scores >= THRESHOLD for scores in films.scores]
    found = [held[at] for held, at in zip(films.found, kept, strict=True)]
    named = np.concatenate([c[at] for c, at in zip(films.classes, kept, strict=True)])
    constant = curves.constant_box(boxes)[None]
    groups = known.groups(films.patient_id)
    sure = [scores[at] for scores, at in zip(films.scores, kept, strict=True)]
    scores = curves.challenge(list(zip(found, sure, strict=True)), films.truth)
    usual = curves.challenge([(constant, np.ones(1))] * len(found), films.truth)

    def mean(values: Floats, of: str) -> Metric:
        return metrics.with_interval(lambda i: metrics.mean_score(values[i]), groups, of)

    return Detected(
        films=len(found),
        detections=len(named),
        classes={int(k): int((named == k).sum()) for k in np.unique(named)},
        overlap=_best_overlap(films.truth, found),
        constant_overlap=_best_overlap(films.truth, [constant] * len(found)),
        challenge=mean(scores, "challenge metric"),
        constant_challenge=mean(usual, "the same, constant box on every film"),
    )


def _best_overlap(truth: Sequence[Floats], found: Sequence[Floats]) -> Floats:
    best = [
        iou(curves.corners(t), curves.corners(f)).max(axis=1, initial=0.0)
        for t, f in zip(truth, found, strict=True)
    ]
    return np.concatenate(best)
