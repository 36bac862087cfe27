"""Out-of-fold outputs: kept in a bundle, and judged with choices made on other folds."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inference.calibration import Calibration
from inference.kept import Known, OutOfFold
from inference.manifest import Metric, Suppression
from inference.suppression import suppress
from training import metrics
from training.evaluation.case import Boxes, Case, Predictions, to_boxes
from training.evaluation.choice import (
    OPERATING_POINT,
    Choice,
    Corners,
    Judged,
    Outputs,
    Rows,
    choose,
    draw,
    usual_boxes,
)
from training.evaluation.figures import DRAWS, Evaluation, evaluate
from training.tables import LUNG_OPACITY, NORMAL

if TYPE_CHECKING:
    from training import fit

FLOOR = 0.01
"""The least detector score of a candidate that counts: half the least that a box rule asks for."""
MOST_KEPT = 256
"""Candidates of a film that are kept at most, the best of them."""
MOST_CANDIDATES = 32
"""Candidates of a film after suppression that FROC looks at."""


def pseudonym(kind: str, identity: str) -> str:
    """Return the digest that a film or patient ("film", "patient") goes by.

    It hides the id from a reader, not from someone who has a list of ids to try.
    """
    return hashlib.sha256(f"hilum {kind} {identity}".encode()).hexdigest()[:32]


def keep(
    film_ids: Sequence[str],
    folds: NDArray[np.intp],
    outputs: Outputs,
    size: int,
    *,
    labels: Sequence[int] | NDArray[np.int32] | None = None,
    truth: Sequence[Corners | None] = (),
    patients: Sequence[str] = (),
    views: Sequence[str] = (),
    sexes: Sequence[str] = (),
    ages: Sequence[str] = (),
    sources: Sequence[str] = (),
    intensity: Sequence[float] = (),
) -> OutOfFold:
    """Make out-of-fold outputs ready for a bundle.

    Candidates below `FLOOR` and beyond `MOST_KEPT` of a film are left out and the others rounded to
    half precision, so judge by `outputs_of` what is returned, not by `outputs`. With labels, truth
    and patients, `judged_of` can make films without any folder, and without them once
    `known.with_known` has read them from the films' folders; the other lists may be left empty.

    Args:
        film_ids: The films' ids, of which digests are kept.
        folds: (n,) which network gave the outputs.
        outputs: What the networks gave.
        size: The input's side in pixels.
        labels: (n,) indices into `bundle.CLASSES`.
        truth: Each film's boxes (m, 4) in input pixels, None where nobody looked for them.
        patients: The films' patients, of whom digests are kept.
        views: View Position.
        sexes: M, F or "".
        ages: Age groups, see `case.age_group`.
        sources: Names of the data sets.
        intensity: Mean of each film's input pixels.
    """
    counts, boxes, scores = [], [], []
    for corners, sure in zip(outputs.boxes, outputs.scores, strict=True):
        order = np.argsort(-sure, kind="stable")[:MOST_KEPT]
        order = order[sure[order] >= FLOOR]
        counts.append(len(order))
        boxes.append(corners[order])
        scores.append(sure[order])
    known = None
    if labels is not None:
        known = known_of(labels, truth, patients, views, sexes, ages, sources, intensity)
    return OutOfFold(
        size=size,
        films=np.array([pseudonym("film", name) for name in film_ids], np.str_),
        folds=folds.astype(np.int16),
        logits=outputs.logits.astype(np.float32),
        counts=np.array(counts, np.int32),
        boxes=np.concatenate([np.zeros((0, 4)), *boxes]).astype(np.float16),
        scores=np.concatenate([np.zeros(0), *scores]).astype(np.float16),
        known=known,
    )


def known_of(
    labels: Sequence[int] | NDArray[np.int32],
    truth: Sequence[Corners | None],
    patients: Sequence[str],
    views: Sequence[str] = (),
    sexes: Sequence[str] = (),
    ages: Sequence[str] = (),
    sources: Sequence[str] = (),
    intensity: Sequence[float] = (),
) -> Known:
    """Make what is known of films ready to stand beside their outputs; arguments as of `keep`."""
    n = len(labels)
    boxes = [np.zeros((0, 4), np.float32) if each is None else each for each in truth]
    return Known(
        labels=np.asarray(labels, np.int8),
        box_counts=np.array([-1 if each is None else len(each) for each in truth], np.int16),
        boxes=np.concatenate([np.zeros((0, 4)), *boxes]).astype(np.float32),
        patients=np.array([pseudonym("patient", name) for name in patients], np.str_),
        views=_texts(views, n),
        sexes=_texts(sexes, n),
        ages=_texts(ages, n),
        sources=_texts(sources, n),
        intensity=np.array(intensity if len(intensity) else [np.nan] * n, np.float32),
    )


def outputs_of(kept: OutOfFold) -> fit.Outputs:
    """Return kept outputs as arrays; candidates that were left out have no area and score 0."""
    from training.fit import Outputs as Whole  # loads TensorFlow

    rows = _padded(kept)
    return Whole(rows.logits, rows.boxes, rows.scores)


def judged_of(kept: OutOfFold, source: str | None = None) -> Judged:
    """Make films to judge from a bundle's kept predictions: those of one source, or all.

    Raises:
        ValueError: labels were not kept.
    """
    known = kept.known
    if known is None:
        raise ValueError("labels were not kept with the out-of-fold predictions")
    ends = np.cumsum(known.box_counts.clip(0))
    truth = [
        None if count < 0 else known.boxes[end - count : end]
        for count, end in zip(known.box_counts.tolist(), ends.tolist(), strict=True)
    ]
    judged = Judged(
        outputs=_padded(kept),
        labels=known.labels.astype(np.int32),
        truth=truth,
        patients=known.patients.tolist(),
        folds=kept.folds.astype(np.intp),
        views=known.views.tolist(),
        size=kept.size,
        films=kept.films.tolist(),
        sexes=known.sexes.tolist(),
        ages=known.ages.tolist(),
        intensity=known.intensity.tolist(),
    )
    return judged if source is None else judged.take(known.sources == source)


def out_of_fold(films: Judged, *, draws: int = DRAWS) -> Evaluation:
    """Judge every fold with what was chosen on the other folds alone."""
    return evaluate(predictions_of(films), draws=draws)


def predictions_of(films: Judged, source: str = "") -> Predictions:
    """Read every film with calibration, operating points and box rule chosen on the other folds.

    Raises:
        ValueError: there are fewer than two folds.
    """
    cases: dict[int, Case] = {}
    if len(np.unique(films.folds)) < 2:
        raise ValueError("out-of-fold predictions need two folds at least")
    for fold in np.unique(films.folds).tolist():
        others = films.take(films.folds != fold)
        choice = choose(others)
        constant = to_boxes(usual_boxes(others.truth, films.size))
        here = np.nonzero(films.folds == fold)[0]
        for i, case in zip(here.tolist(), _cases(films.take(here), choice, constant), strict=True):
            cases[i] = dataclasses.replace(case, source=source, film=case.film or f"{i:05d}")
    return Predictions(OPERATING_POINT, tuple(cases[i] for i in sorted(cases)))


def foreign_auc(
    logits: NDArray[np.float32],
    labels: NDArray[np.int32],
    patients: Sequence[str],
    calibration: Calibration,
    *,
    draws: int = DRAWS,
) -> Metric:
    """AUC of pneumonia against no finding on films with labels mined from reports.

    Args:
        logits: (n, 3) what networks that had not seen the films' patients gave.
        labels: (n,) indices into `bundle.CLASSES`; films that are neither are left out.
        patients: The films' patients.
        calibration: Chosen on other films.
        draws: Bootstrap samples.
    """
    at = np.nonzero((labels == LUNG_OPACITY) | (labels == NORMAL))[0]
    opacity = calibration(logits[at])[:, LUNG_OPACITY]
    truth = labels[at] == LUNG_OPACITY
    return metrics.with_interval(
        lambda i: metrics.auc(opacity[i], truth[i]),
        [patients[k] for k in at.tolist()],
        "NIH films: AUC, pneumonia against no finding as mined from reports (noisy)",
        draws=draws,
    )


def candidates_of(
    corners: Corners, scores: NDArray[np.float32], opacity: float, rule: Suppression
) -> tuple[Corners, NDArray[np.float32]]:
    """Return what the box head saw, however faint: suppressed by `rule` without its thresholds."""
    kept = scores >= FLOOR
    return suppress(corners[kept], scores[kept], opacity, without_thresholds(rule))


def without_thresholds(rule: Suppression) -> Suppression:
    """Return a box rule that keeps boxes of any score."""
    return dataclasses.replace(rule, score=0.0, relative_score=0.0, most=MOST_CANDIDATES)


def _texts(given: Sequence[str], count: int) -> NDArray[np.str_]:
    return np.array(list(given) or [""] * count, np.str_)


def _padded(kept: OutOfFold) -> Rows:
    n, most = len(kept.counts), int(kept.counts.max(initial=0))
    boxes, scores = np.zeros((n, most, 4), np.float32), np.zeros((n, most), np.float32)
    there = np.arange(most) < kept.counts[:, None]
    boxes[there], scores[there] = kept.boxes, kept.scores
    return Rows(kept.logits, boxes, scores)


def _cases(films: Judged, choice: Choice, constant: Boxes) -> list[Case]:
    probabilities = choice.calibration(films.outputs.logits)
    opacity = probabilities[:, LUNG_OPACITY]
    drawn = draw(films, opacity, choice.threshold, choice.boxes)
    thresholds = {name: point.threshold for name, point in choice.operating_points.items()}
    cases = []
    for i, p in enumerate(probabilities.tolist()):
        truth = films.truth[i]
        out = films.outputs
        seen = candidates_of(out.boxes[i], out.scores[i], p[LUNG_OPACITY], choice.boxes)
        intensity = films.intensity[i] if len(films.intensity) else np.nan
        cases.append(
            Case(
                film=films.films[i] if films.films else "",
                patient=pseudonym("patient", films.patients[i]),
                fold=int(films.folds[i]),
                source="",
                label=int(films.labels[i]),
                view=films.views[i],
                sex=films.sexes[i] if films.sexes else "",
                age=films.ages[i] if films.ages else "",
                width=films.size,
                height=films.size,
                probabilities=(p[0], p[1], p[2]),
                thresholds=thresholds,
                truth=None if truth is None else to_boxes(truth),
                drawn=to_boxes(*drawn[i]),
                candidates=to_boxes(*seen),
                constant=constant if p[LUNG_OPACITY] >= choice.threshold else (),
                intensity=None if np.isnan(intensity) else float(intensity),
            )
        )
    return cases
