"""How fast films come in, beside a plain loop, and how long a network waits for them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import keras
import numpy as np
import tensorflow as tf
from PIL import Image
from pydicom import dcmread

from training.experiments.build import build, compile_model
from training.experiments.data import Order, open_source, training_batches
from training.experiments.decoded import Pictures
from training.experiments.overrides import Overrides
from training.experiments.selection import one_hot, select
from training.experiments.spec import Spec
from training.experiments.weights import NONE
from training.tables import Film

WARM_UP = 2
"""Batches left out at the start of each measurement."""


@dataclass(frozen=True, slots=True)
class Throughput:
    """Films per second by each way, and the share of training spent waiting for input (0 to 1).

    `plain`: pydicom's `pixel_array`, Pillow's resize, three channels, one film after the other, as
    the report's notebooks did it for every epoch. `first_epoch`: decoded by all cores onto disk.
    `later_epochs`: batches from there, shuffled, coloured, moved if the experiment moves them, with
    no network to wait for. `network`: the network's training on batches that are already there.
    `training`: all of it together.
    """

    films: int
    plain: float
    first_epoch: float
    later_epochs: float
    network: float
    training: float
    waited: float


def throughput(
    spec: Spec,
    films: Sequence[Film],
    *,
    steps: int = 20,
    clock: Callable[[], float] = time.perf_counter,
) -> Throughput:
    """Measure an experiment's input on a folder's films; decoded films are thrown away after.

    Args:
        spec: An experiment of classes, with its overrides in it.
        films: The folder's films, DICOM.
        steps: Batches to measure over.
        clock: Seconds.

    Raises:
        DataError: the films do not do for the experiment.
        ValueError: the experiment is no classifier.
    """
    if spec.kind != "classes" or spec.train is None:
        raise ValueError(f"{spec.id}: input is measured with classifiers")
    selection = select(films, spec.data, boxes=False, seed=spec.train.seed)
    paths = [film.path for film in selection.films]
    began = clock()
    for path in paths:
        plain_loop(path, spec.data.size)
    plain = len(paths) / (clock() - began)
    with TemporaryDirectory() as cache:
        began = clock()
        source = open_source(
            list(films), selection, spec.data, one_hot(selection.films), Path(cache)
        )
        first = len(paths) / (clock() - began)
        augmentation = spec.train.augmentation
        order = Order(spec.train.batch, spec.train.seed, 0, 1 + (WARM_UP + steps) * 2)

        def batches() -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
            made = training_batches(source, selection.train, order, augmentation)
            return iter(made)

        later = _films_per_second(batches(), steps, clock)
        model, _ = build(spec, Overrides(weights=NONE))
        compile_model(model, spec, spec.train)
        network, training, waited = _train(model, batches(), steps, clock)
    return Throughput(len(paths), plain, first, later, network, training, waited)


def plain_loop(path: Path, size: int) -> Pictures:
    """Read one film as notebooks do: pydicom or Pillow, Pillow's resize, three channels."""
    if path.suffix.lower() == ".dcm":
        film = Image.fromarray(np.asarray(dcmread(path).pixel_array, np.uint8))
    else:
        film = Image.open(path).convert("L")
    return np.stack([np.asarray(film.resize((size, size)), np.uint8)] * 3, axis=-1)


def _films_per_second(
    batches: Iterator[tuple[tf.Tensor, tf.Tensor]], steps: int, clock: Callable[[], float]
) -> float:
    for _ in range(WARM_UP):
        next(batches)
    began, films = clock(), 0
    for _ in range(steps):
        films += int(next(batches)[1].shape[0])
    return films / (clock() - began)


def _train(
    model: keras.Model,
    batches: Iterator[tuple[tf.Tensor, tf.Tensor]],
    steps: int,
    clock: Callable[[], float],
) -> tuple[float, float, float]:
    """Films per second of the network alone and with its input, and the share of waiting."""
    for _ in range(WARM_UP):
        model.train_on_batch(*next(batches))
    waited, worked, films = 0.0, 0.0, 0
    for _ in range(steps):
        began = clock()
        pictures, targets = next(batches)
        came = clock()
        model.train_on_batch(pictures, targets)
        waited, worked = waited + came - began, worked + clock() - came
        films += int(targets.shape[0])
    return films / worked, films / (waited + worked), waited / (waited + worked)
