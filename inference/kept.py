"""Out-of-fold predictions that a bundle keeps, so that its figures can be computed again.

Films and patients stand under digests of their ids (see `training.evaluation.out_of_fold`): a
pseudonym, which who has a list of ids can look up.
"""

from __future__ import annotations

import dataclasses
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of n films beside their predictions; all but `boxes` has n entries.

    `labels` indexes `bundle.CLASSES`; `box_counts` says how many of the rows of `boxes` (k, 4; x0,
    y0, x1, y1 in input pixels) belong to each film, -1 where nobody looked for boxes. `patients`
    are digests; `views` are View Position, `sexes` M or F, `ages` age groups, "" where unknown.
    `sources` names the data set, `intensity` is the mean of the film's input pixels, 0 to 255 (NaN
    where unknown).
    """

    labels: NDArray[np.int8]
    box_counts: NDArray[np.int16]
    boxes: NDArray[np.float32]
    patients: NDArray[np.str_]
    views: NDArray[np.str_]
    sexes: NDArray[np.str_]
    ages: NDArray[np.str_]
    sources: NDArray[np.str_]
    intensity: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """What networks gave for n films whose patients they had not seen.

    `size` is the input's side in pixels, `films` (n,) digests of the films' ids, `folds` (n,) which
    network gave the outputs, `logits` (n, 3) before calibration. `counts` (n,) says how many of the
    rows of `boxes` (k, 4; x0, y0, x1, y1 in input pixels) and `scores` (k,), the candidates before
    suppression by falling score, belong to each film. `known` may be missing.
    """

    size: int
    films: NDArray[np.str_]
    folds: NDArray[np.int16]
    logits: NDArray[np.float32]
    counts: NDArray[np.int32]
    boxes: NDArray[np.float16]
    scores: NDArray[np.float16]
    known: Known | None = None


def write_kept(file: Path, kept: OutOfFold) -> None:
    """Write the predictions as compressed NumPy arrays; equal predictions give equal bytes."""
    arrays = {name: np.asarray(getattr(kept, name)) for name in _names(OutOfFold, but="known")}
    if kept.known is not None:
        known = {f"known_{name}": getattr(kept.known, name) for name in _names(Known)}
        arrays.update(known)
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # the stub's allow_pickle


def read_kept(file: Path) -> OutOfFold:
    """Read what `write_kept` wrote.

    Raises:
        ValueError: it is no such file, an array is missing, or their lengths do not fit together.
    """
    try:
        with np.load(file, allow_pickle=False) as arrays:
            values: dict[str, Any] = {n: arrays[n] for n in _names(OutOfFold, but="known")}
            known = None
            if "known_labels" in arrays:
                known = Known(**{name: arrays[f"known_{name}"] for name in _names(Known)})
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"an array cannot be read: {error}") from None
    kept = OutOfFold(**{**values, "size": int(values["size"])}, known=known)
    _check(kept)
    return kept


def _check(kept: OutOfFold) -> None:
    n, k = len(kept.films), int(kept.counts.sum())
    shapes: list[tuple[NDArray[Any], tuple[int, ...]]] = [
        (kept.folds, (n,)),
        (kept.logits, (n, 3)),
        (kept.counts, (n,)),
        (kept.boxes, (k, 4)),
        (kept.scores, (k,)),
    ]
    if kept.known is not None:
        boxes = int(kept.known.box_counts.clip(0).sum())
        shapes += [(getattr(kept.known, name), (n,)) for name in _names(Known, but="boxes")]
        shapes.append((kept.known.boxes, (boxes, 4)))
    if any(array.shape != shape for array, shape in shapes):
        raise ValueError("its arrays do not fit together")


def _names(kind: type, but: str = "") -> list[str]:
    return [field.name for field in dataclasses.fields(kind) if field.name != but]
