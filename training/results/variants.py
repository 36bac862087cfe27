"""Rows and their variants: the same experiment with one mistake put right, or made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from training.results.curves import Difference, delong_difference
from training.results.measured import Boxed, Classified, Known
from training.results.mistake import Mistake, grid, name_of
from training.results.rows import Row
from training.results.runs import BoxPredictions, Predictions


def np_resize(rows: Sequence[Row]) -> Mistake:
    """Pictures cut anew where they should have been scaled."""
    found = _variant(
        rows,
        "np_resize",
        "np.resize where a resize was meant",
        "`np.resize` repeats and cuts pixels. Taking all pictures from 224 to 128 pixels at once,"
        " picture i holds pixels of picture 0.33 i, so pictures and labels do not belong together.",
    )
    # 7 to 4 is 224 to 128.
    kept = kept_by_np_resize(1200, 7, 4)
    computed = (
        f"Computed: of 1,200 pictures {kept * 1200:.0f} still holds any of its own pixels; all"
        " others show other films than their labels speak of, and two thirds of the films are gone."
    )
    return Mistake(found.title, found.told, (computed, *found.effect), found.grid)


def by_patient(rows: Sequence[Row], known: Known) -> Mistake:
    """Films of one patient on both sides of the split."""
    found = _variant(
        rows,
        "by_patient",
        "Films of one patient on both sides of the split",
        "Films were split at random although one NIH patient has many of them.",
    )
    leaks = []
    for row in rows:
        predictions = row.run.predictions if row.run is not None else None
        if row.spec.data.split != "film" or not known.patients:
            continue
        if isinstance(predictions, Predictions | BoxPredictions):
            train = set(known.groups(predictions.of("train").patient_id))
            tested = known.groups(predictions.of("test").patient_id)
            if train and tested:
                leaks.append(sum(patient in train for patient in tested) / len(tested))
    low, high = min(leaks, default=0.0), max(leaks, default=0.0)
    share = f"{low:.0%}" if high - low < 0.005 else f"{low:.0%} to {high:.0%}"
    effect = (
        f"Measured on {len(leaks)} runs split by film: of their test films {share} are of a patient"
        " who has films among those trained on."
        if leaks
        else "Which films are of one patient is told by nih_patients.csv in the data folder, and no"
        " run with it is at hand."
    )
    return Mistake(found.title, found.told, (effect, *found.effect), found.grid)


def preprocess(rows: Sequence[Row]) -> Mistake:
    """Pixels that are not what the backbones were trained on."""
    return _variant(
        rows,
        "preprocess",
        "Pixels not scaled as the backbones expect",
        "No `preprocess_input` stands before the pretrained backbones, so their first layers see"
        " other values than those they were trained on.",
    )


def held_out_test(rows: Sequence[Row]) -> Mistake:
    """Tests on films that were looked at before."""
    return _variant(
        rows,
        "held_out_test",
        "Tested on validation films",
        "The JPEG and generator runs have no test films of their own: they are tested on the films"
        " that they were validated on.",
    )


def compare(row: Row, variant: Row) -> Difference | float | None:
    """Compare a variant with its row: by DeLong on the same test films, else the plain difference.

    Classifiers are compared by AUC, box regressors by mean IoU; None where one is not measured.
    """
    a, b = variant.measured, row.measured
    if isinstance(a, Boxed) and isinstance(b, Boxed):
        return a.mean_iou.value - b.mean_iou.value
    if not (isinstance(a, Classified) and isinstance(b, Classified)):
        return None
    if variant.run is None or row.run is None:
        return None
    one, other = variant.run.predictions, row.run.predictions
    if isinstance(one, Predictions) and isinstance(other, Predictions):
        one, other = _sorted(one.of(a.split)), _sorted(other.of(b.split))
        same = np.array_equal(one.patient_id, other.patient_id)
        if (
            same
            and np.array_equal(one.truth, other.truth)
            and 1 < one.truth.sum() < len(one.truth) - 1
        ):
            return delong_difference(one.probability, other.probability, one.truth)
    return a.auc.value - b.auc.value


def kept_by_np_resize(films: int, before: int, after: int) -> float:
    """Share of pictures that still hold any of their own pixels after `np.resize`.

    `np.resize(pictures, (films, after, after))` of `films` pictures of `before` pixels a side does
    not scale: it cuts the row of all pixels anew. Each picture is filled with its number here, and
    what comes out is looked at.
    """
    numbers = np.repeat(np.arange(films), before * before).reshape(films, before, before)
    cut = np.resize(numbers, (films, after, after))
    own = (cut == np.arange(films)[:, None, None]).any(axis=(1, 2))
    return float(own.mean())


def _variant(rows: Sequence[Row], name: str, title: str, told: str) -> Mistake:
    """A mistake whose effect is the difference between rows and their variant of this name."""
    pairs = [(row, each) for row in rows for each in row.variants if each.variant_name == name]
    lines = [line for row, each in pairs for line in _difference(row, each)]
    missing = [row.spec.id for row, each in pairs if compare(row, each) is None]
    effect = []
    if missing:
        effect.append(
            f"Not measured for {len(missing)} of {len(pairs)} rows: both a row and its variant must"
            f" be done, as by `hilum train {missing[0]}` and `hilum train {missing[0]}@{name}`."
        )
    head = ("network", "measure", "row", f"@{name}", "difference (95 %)", "p")
    return Mistake(title, told, tuple(effect), grid(head, lines))


def _difference(row: Row, variant: Row) -> Iterator[tuple[str, ...]]:
    found, a, b = compare(row, variant), row.measured, variant.measured
    if isinstance(a, Boxed) and isinstance(b, Boxed):
        what, before, after = "mean IoU", a.mean_iou.value, b.mean_iou.value
    elif isinstance(a, Classified) and isinstance(b, Classified):
        what, before, after = "AUC", a.auc.value, b.auc.value
    else:
        return
    if isinstance(found, Difference):
        text = f"{found.value:+.3f} ({found.low:+.3f} to {found.high:+.3f})"
        p = f"{found.p:.3f}" if found.p >= 0.001 else "< 0.001"
    else:
        text, p = f"{after - before:+.3f}", "other films" if what == "AUC" else ""
    yield name_of(row), what, f"{before:.3f}", f"{after:.3f}", text, p


def _sorted(films: Predictions) -> Predictions:
    order = np.argsort(films.patient_id, kind="stable")
    return Predictions(
        films.split[order], films.patient_id[order], films.truth[order], films.probability[order]
    )
