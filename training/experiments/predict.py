"""Networks predict films: those of an experiment, and any others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from inference.reading import RefusedError
from training.experiments.boxes import scale_of
from training.experiments.data import colour
from training.experiments.decoded import Pictures, picture
from training.experiments.selection import DataError
from training.experiments.spec import Data, Spec

Outputs = NDArray[np.float32]

_BATCH = 32


def predict_batches(model: keras.Model, batches: tf.data.Dataset) -> Outputs:
    """Return what the network gives for every picture of `batches`, in order."""
    return np.asarray(model.predict(batches, verbose=0), np.float32)


def predict_paths(model: keras.Model, spec: Spec, paths: Sequence[Path]) -> Outputs:
    """Return what an experiment's network gives for the films of these files, in order.

    (n, 2) probabilities of no opacity and opacity, or (n, 4) boxes as x, y, width, height in pixels
    of the film of 1024. A film that cannot be read has NaN. Films are read a few at a time.
    """
    width = model.output_shape[-1]
    parts = []
    for pictures, readable in _read(paths, spec.data):
        part = np.full((len(readable), width), np.nan, np.float32)
        if readable.any():
            part[readable] = model.predict_on_batch(pictures)
        parts.append(part)
    outputs = np.concatenate(parts) if parts else np.zeros((0, width), np.float32)
    if spec.kind == "boxes":
        outputs /= np.float32(scale_of(spec.network.targets, spec.data.size))
    return outputs


def _read(paths: Sequence[Path], data: Data) -> Iterator[tuple[Pictures, NDArray[np.bool_]]]:
    """Yield the pictures of a few films that can be read, and which films those are."""

    def read(path: Path) -> Pictures | None:
        try:
            return picture(path, data.size, data.source)
        except (RefusedError, DataError):
            return None

    with ThreadPoolExecutor() as pool:
        for start in range(0, len(paths), _BATCH):
            greys = list(pool.map(read, paths[start : start + _BATCH]))
            found = [grey for grey in greys if grey is not None]
            readable = np.array([grey is not None for grey in greys])
            stacked = np.stack(found) if found else np.zeros((0, data.size, data.size), np.uint8)
            yield colour(stacked, data.colour), readable
